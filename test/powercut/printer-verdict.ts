/**
 * What must be true of the printer at rest: one whole version with the user's files and edits as they were left, the record, the
 * database of that version with all print jobs, and exactly the programs of that version running.
 */
import { posix } from 'node:path';
import type { Machine } from '../fixtures/printer/machine.ts';
import { libraryNumber } from '../fixtures/printer/made.ts';
import { schemaOf } from '../fixtures/printer/programs.ts';
import { databaseFile, type Printer } from '../fixtures/printer/releases.ts';
import { sittings } from '../fixtures/printer/user.ts';
import { type Daemon, pause } from './daemon.ts';
import type { Tree } from './model-tree.ts';
import { expectedFiles, foundFiles, ofSwitch, type Standing } from './printer-files.ts';
import type { Moment } from './printer-story.ts';
import { run } from './run-tool.ts';

export interface Verdict {
  readonly standing: Standing;
  /** In words; none where all is well. */
  readonly faults: readonly string[];
}

/** Files alone: the version that stands, and what is not of it. `before services`: what their start waits for. */
export async function judgeFiles(
  printer: Printer,
  moment: Moment,
  when: 'before services' | 'at rest' = 'at rest',
): Promise<Verdict> {
  const part = (tree: Tree) => (when === 'at rest' ? tree : ofSwitch(tree, printer));
  const found = part(await foundFiles(printer));
  const versions = (when === 'before services' ? moment.atBoot : undefined) ?? moment.versions;
  const verdicts = versions.map((standing): Verdict => {
    const trees = moment.sittings.map((count) => part(expectedFiles(printer, standing, count)));
    const paths = new Set([...found.keys(), ...trees.flatMap((tree) => [...tree.keys()])]);
    const faults = [...paths].sort().flatMap((path) => {
      if (trees.some((tree) => tree.get(path) === found.get(path))) return [];
      return `${path}: expected ${trees.map((tree) => tree.get(path) ?? 'nothing').join(' or ')}, found ${found.get(path) ?? 'nothing'}`;
    });
    return { standing, faults };
  });
  const [best] = verdicts.sort((a, b) => a.faults.length - b.faults.length);
  if (best === undefined) throw new Error('a moment without a version');
  const { standing, faults } = best;
  return {
    standing,
    faults: faults.length === 0 ? [] : [`files, nearest to ${standing}:`, ...faults.slice(0, 12)],
  };
}

/** All of it. The daemon must rest; a package that waits is discarded. */
export async function judgePrinter(
  printer: Printer,
  moment: Moment,
  machine: Machine,
  daemon: Daemon,
): Promise<Verdict> {
  const { standing, faults } = await judgeFiles(printer, moment);
  const checks = [
    await wrongDatabase(printer, moment, standing),
    await wrongRecord(daemon, standing),
    await wrongPrograms(printer, machine, standing),
  ];
  return { standing, faults: [...faults, ...checks.filter((fault) => fault !== undefined)] };
}

/** Without a database there is schema 0 and no job. */
const look = `import json, os, sqlite3, sys
found = {'schema': 0, 'jobs': [], 'tables': []}
if os.path.exists(sys.argv[1]):
    database = sqlite3.connect(sys.argv[1])
    found['schema'] = database.execute('PRAGMA user_version').fetchone()[0]
    found['tables'] = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    if 'jobs' in found['tables']:
        found['jobs'] = [row[0] for row in database.execute('SELECT name FROM jobs ORDER BY rowid')]
    found['check'] = database.execute('PRAGMA integrity_check').fetchone()[0]
print(json.dumps(found))`;

const tablesOf = [
  [],
  ['jobs'],
  ['filaments', 'jobs'],
  ['filaments', 'jobs', 'queue'],
  ['filaments', 'jobs', 'layers', 'queue'],
];

async function wrongDatabase(
  { root, made }: Printer,
  moment: Moment,
  standing: Standing,
): Promise<string | undefined> {
  const found = JSON.parse(await run([made.python, '-c', look, posix.join(root, databaseFile)]));
  const schema = standing === 'factory' ? 0 : schemaOf[standing];
  const wanted = { schema, tables: schema === 0 ? [] : [...(tablesOf[schema] ?? []), 'starts'] };
  const jobs = moment.sittings.map((count) =>
    sittings
      .slice(0, count)
      .map(({ job }) => job)
      .join(),
  );
  const isRight =
    found.schema === wanted.schema &&
    found.tables.join() === wanted.tables.join() &&
    jobs.includes(found.jobs.join()) &&
    (found.check ?? 'ok') === 'ok';
  return isRight
    ? undefined
    : `database: expected ${JSON.stringify({ ...wanted, jobs })}, found ${JSON.stringify(found)}`;
}

/** An audit compares every file with the record of the version that stands. */
async function wrongRecord(daemon: Daemon, standing: Standing): Promise<string | undefined> {
  if ((await daemon.stage()) === 'toInstall') await daemon.post('/api/v1.0/cancel', {});
  const asked = (await daemon.post('/api/v1.0/audit', {})) as { code: number; msg: string };
  if (asked.code !== 200) return `audit: ${asked.msg}`;
  for (;;) {
    const { data } = (await daemon.get('/api/v1.0/audit')) as {
      data: {
        running: boolean;
        report: { version: string | null; differing: number; findings: unknown } | null;
      };
    };
    if (data.running || data.report === null) {
      await pause(20);
      continue;
    }
    const { version, differing, findings } = data.report;
    return version === (standing === 'factory' ? null : standing) && differing === 0
      ? undefined
      : `record: expected ${standing} with nothing differing, found ${version} with ${differing}: ${JSON.stringify(findings)}`;
  }
}

/** They need a moment to be up where the boot has started them. */
async function wrongPrograms(
  printer: Printer,
  machine: Machine,
  standing: Standing,
): Promise<string | undefined> {
  const wanted = wantedPrograms(printer, standing);
  let found = '';
  for (const deadline = performance.now() + 5000; performance.now() < deadline; await pause(50)) {
    found = await programs(printer, machine);
    if (found === wanted) return undefined;
  }
  return `programs: expected ${wanted}, found ${found}`;
}

function wantedPrograms({ made }: Printer, standing: Standing): string {
  if (standing === 'factory') return 'device-api: none';
  const api = {
    version: standing,
    environment: standing,
    library: made.libraries === undefined ? null : libraryNumber(standing),
  };
  const others = standing === '1.0.0' ? ['klippy'] : ['camera', 'klippy'];
  return [`device-api: ${JSON.stringify(api)}`, ...others.map((name) => `${name} ${standing}`)].join(', ');
}

async function programs({ port }: Printer, machine: Machine): Promise<string> {
  const lines = await machine.sh(
    `cd /run/v; for f in *; do [ ! -e $f ] || [ ! -d /proc/\${f##*.} ] || echo \${f%.*} $(cat $f); done | sort`,
  );
  const api = await fetch(`http://127.0.0.1:${port}/version`).then(
    async (response) => JSON.stringify(await response.json()),
    () => 'none',
  );
  return [`device-api: ${api}`, ...lines.split('\n').filter((line) => line !== '')].join(', ');
}
