/**
 * The rules of the house, checked on the source text: which folder may import which, where the machine may be touched,
 * what is loaded lazily, how long a file may be, and that every test file runs.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('tidy');
const root = join(import.meta.dirname, '..');

interface Import {
  readonly from: string;
  /** Path below the project for a relative import, else the module's name. */
  readonly of: string;
  readonly isTypeOnly: boolean;
  readonly isLazy: boolean;
}

const sources = new Map(filesBelow('src').map((path) => [path, readFileSync(join(root, path), 'utf8')]));
const imports: readonly Import[] = [...sources].flatMap(([path, text]) => importsOf(path, text));
const atRunTime = imports.filter(({ isTypeOnly }) => !isTypeOnly);

/** Files whose result depends on their arguments alone (design: pure). */
const pureFiles = [
  'src/config.ts',
  'src/envelope.ts',
  'src/errors.ts',
  'src/limits.ts',
  'src/download-limits.ts',
  'src/memory-limits.ts',
  'src/file-limits.ts',
  'src/api-limits.ts',
  'src/release.ts',
  'src/history.ts',
  'src/version.ts',
  'src/build-date.ts',
  'src/glob.ts',
  'src/host/host.ts',
  'src/updater/state.ts',
  'src/updater/fleet-state.ts',
  'src/fleet/answers.ts',
  'src/fleet/attributes.ts',
  'src/fleet/cancel.ts',
  'src/fleet/decide.ts',
  'src/fleet/ends.ts',
  'src/fleet/offer.ts',
  'src/fleet/schedule.ts',
  'src/fleet/words.ts',
  'src/updater/machine.ts',
  'src/updater/recover.ts',
  'src/package/entry-policy.ts',
  'src/download/patchwork.ts',
  'src/download/bspatch.ts',
  'src/pack/bsdiff.ts',
  'src/pack/suffixes.ts',
  'src/zip/tail.ts',
  'src/zip/frame.ts',
  'src/deploy/plan.ts',
  'src/deploy/make-plan.ts',
  'src/deploy/update-id.ts',
  'src/deploy/journal.ts',
  'src/services/proc-text.ts',
  'src/http/contract.ts',
  'src/http/door.ts',
];
/** Calculation only: these modules of Node touch nothing. */
const pureModules = ['node:path', 'node:buffer', 'valibot'];

const machineModules =
  /^node:(fs|child_process|net|http|https|tls|dgram|dns|os|process|timers|worker_threads)(\/|$)/;
const lazyModules = /^(node:(crypto|zlib|https|tls|child_process)|yauzl|yazl|@valibot\/to-json-schema)$/;

check(
  'the time is asked of host/clock.ts: the first use of `performance` loads a dozen modules of Node',
  () =>
    [...sources]
      .filter(
        ([path, text]) =>
          !path.startsWith('src/screen/browser/') && /^(?! ?[/*]).*\bperformance\./m.test(text),
      )
      .map(([path]) => path),
);

check('node:fs, processes and sockets are touched only under host/, in main.ts, cli/ and the server', () =>
  atRunTime
    .filter(
      ({ from, of }) => machineModules.test(of) && !mayTouchTheMachine(from) && !isServerSocket(from, of),
    )
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('timers, the wall clock and process are used only under host/, in main.ts and cli/', () =>
  occurrences(
    /\b(setTimeout|setInterval|setImmediate|Date\.now|new Date\(\)|performance\.now)\b|(?<![.\w])process\.(env|exit|exitCode|on|once|off|kill|cwd|umask|std\w+|nextTick|hrtime|memoryUsage|get\w+|set\w+|version|versions|arch|exec\w+)\b/,
    // The page's timers run in a browser.
    (path) => !mayTouchTheMachine(path) && !path.startsWith('src/screen/browser/'),
  ),
);

check('crypto, zlib, TLS, yauzl, yazl and the schema converter are loaded at first use', () =>
  atRunTime
    .filter(({ of, isLazy }) => lazyModules.test(of) && !isLazy)
    // The one real implementation of the processes port is loaded as late as its user likes.
    .filter(({ from }) => !from.startsWith('src/host/'))
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('the stages do not import each other', () => {
  const stages = ['download', 'package', 'deploy', 'services', 'report', 'fleet'];
  return imports
    .filter(({ from, of }) => {
      const [a, b] = [folderOf(from), folderOf(of)];
      return a !== b && stages.includes(a) && stages.includes(b);
    })
    .map(({ from, of }) => `${from} imports ${of}`);
});

check('fleet/ knows the updater by its words, and the machine by its ports', () => {
  const known = /^src\/(fleet\/.*|host\/.*|updater\/(state|fleet-state)\.ts|\w+\.ts)$/;
  return imports
    .filter(({ from, of }) => from.startsWith('src/fleet/') && of.startsWith('src/') && !known.test(of))
    .map(({ from, of }) => `${from} imports ${of}`);
});

check('the script of the page imports nothing but itself', () =>
  imports
    .filter(({ from, of }) => from.startsWith('src/screen/browser/') !== of.startsWith('src/screen/browser/'))
    .filter(({ from, of }) => `${from} ${of}`.includes('src/screen/browser/'))
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('fleet/ is loaded where there is a fleet, by cli/ alone', () =>
  imports
    .filter(
      ({ from, of, isTypeOnly, isLazy }) =>
        of.startsWith('src/fleet/') &&
        !from.startsWith('src/fleet/') &&
        !(isEntry(from) && (isLazy || isTypeOnly)),
    )
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('zip/ knows nobody: both download/ and package/ know it', () =>
  imports
    .filter(
      ({ from, of }) => from.startsWith('src/zip/') && of.startsWith('src/') && !of.startsWith('src/zip/'),
    )
    .filter(({ of }) => !/^src\/(download-)?limits\.ts$/.test(of))
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('operations/ and audit/ do not know who calls them; audit/ only reads', () => {
  const forbidden: Record<string, readonly string[]> = {
    operations: ['updater', 'http', 'report', 'fleet', 'screen'],
    audit: ['updater', 'http', 'report', 'fleet', 'screen', 'operations', 'services', 'package', 'download'],
  };
  return imports
    .filter(({ from, of }) => forbidden[folderOf(from)]?.includes(folderOf(of)))
    .map(({ from, of }) => `${from} imports ${of}`);
});

check('nothing imports http/ but main.ts and cli/', () =>
  imports
    .filter(({ from, of }) => of.startsWith('src/http/') && !from.startsWith('src/http/') && !isEntry(from))
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('host/ knows nothing of the job', () =>
  imports
    .filter(
      ({ from, of }) =>
        from.startsWith('src/host/') && /^src\/[a-z]+\//.test(of) && !of.startsWith('src/host/'),
    )
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('pure files import nothing that touches the machine', () =>
  atRunTime
    .filter(({ from, of }) => pureFiles.includes(from) && !of.startsWith('src/') && !pureModules.includes(of))
    .concat(atRunTime.filter(({ from, of }) => pureFiles.includes(from) && of.startsWith('src/host/')))
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('yauzl is known to one file', () => {
  const users = new Set(imports.filter(({ of }) => of === 'yauzl').map(({ from }) => from));
  return users.size > 1 ? [...users] : [];
});

check('the product imports no module that it does not ship', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return (
    atRunTime
      .filter(
        ({ of }) => !of.startsWith('src/') && !of.startsWith('node:') && !Object.hasOwn(dependencies, of),
      )
      // From a checkout alone: the bundle holds what this makes.
      .filter(({ of }) => of !== 'build/screen-script.ts')
      .map(({ from, of }) => `${from} imports ${of}`)
  );
});

check('relative imports name a file that is there, with its extension', () =>
  imports
    .filter(({ of }) => of.startsWith('src/') && !(of.endsWith('.ts') && sources.has(of)))
    .map(({ from, of }) => `${from} imports ${of}`),
);

check('no import leads back to where it came from', () => {
  const next = new Map<string, string[]>();
  for (const { from, of } of atRunTime) if (sources.has(of)) next.set(from, [...(next.get(from) ?? []), of]);
  return [...sources.keys()].flatMap((path) => cycleFrom(path, next) ?? []);
});

check('no file is longer than 300 lines', () =>
  [...sources].filter(([, text]) => text.split('\n').length > 301).map(([path]) => path),
);

check('every file opens by saying what it is for', () =>
  [...sources].filter(([, text]) => !/^(#!.*\n)?\/\*\*/.test(text)).map(([path]) => path),
);

check('exports have names', () => occurrences(/^export (default|\*)/, () => true));

check('nothing is put off and no check is switched off', () =>
  occurrences(
    /\b(TODO|FIXME|XXX|HACK)\b|@ts-(ignore|expect-error|nocheck)|biome-ignore|eslint-|\bas any\b|: any\b/,
    () => true,
  ),
);

check('what anything thrown says is asked of errors.ts', () =>
  occurrences(/instanceof Error \?/, (path) => path !== 'src/errors.ts'),
);

check('no module keeps state between its callers', () => occurrences(/^(export )?(let|var) /, () => true));

check('every test file runs its tests', () =>
  filesBelow('test')
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => !/^\s*\w+\.run\(\);?$/m.test(readFileSync(join(root, path), 'utf8')))
    .map((path) => `${path} never calls .run()`),
);

/** A rule that lists what breaks it. */
function check(rule: string, offenders: () => string[]): void {
  test(rule, () => assert.equal([...new Set(offenders())], []));
}

function mayTouchTheMachine(path: string): boolean {
  return path.startsWith('src/host/') || isEntry(path);
}

function isEntry(path: string): boolean {
  return path === 'src/main.ts' || path.startsWith('src/cli/');
}

function isServerSocket(path: string, module: string): boolean {
  return path === 'src/http/server.ts' && module === 'node:http';
}

function folderOf(path: string): string {
  return /^src\/([a-z]+)\//.exec(path)?.[1] ?? '';
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (statSync(join(root, path)).isDirectory()) return name === 'fixtures' ? [] : filesBelow(path);
    return path.endsWith('.ts') ? [path] : [];
  });
}

function importsOf(from: string, text: string): Import[] {
  const code = withoutComments(text);
  const statements = [...code.matchAll(/^(?:import|export)\s+([^'";]*?\bfrom\s+)?'([^']+)'/gm)].map(
    ([, clause = '', name = '']) => ({ name, isTypeOnly: isTypeOnly(clause), isLazy: false }),
  );
  const lazy = [...code.matchAll(/(typeof )?\bimport\(\s*'([^']+)'\s*\)(\.\w+)?/g)].map(
    ([whole, type, name = '']) => ({
      name,
      // `import('x').Y` is a type; `await import('x')` is not.
      isTypeOnly: type !== undefined || new RegExp(`[:<|&(]\\s*${escaped(whole)}`).test(code),
      isLazy: true,
    }),
  );
  return [...statements, ...lazy].map(({ name, ...kind }) => ({ from, of: resolved(from, name), ...kind }));
}

function isTypeOnly(clause: string): boolean {
  if (/^type\b/.test(clause)) return true;
  const names = /^\{([^}]*)\}/.exec(clause)?.[1];
  return names?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
}

function resolved(from: string, name: string): string {
  return name.startsWith('.') ? normalize(join(dirname(from), name)) : name;
}

function cycleFrom(start: string, next: ReadonlyMap<string, readonly string[]>): string | undefined {
  const seen = new Set<string>();
  const search = (path: string, trail: readonly string[]): string | undefined => {
    for (const target of next.get(path) ?? []) {
      if (target === start) return [...trail, start].join(' -> ');
      if (seen.has(target)) continue;
      seen.add(target);
      const found = search(target, [...trail, target]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search(start, [start]);
}

/** `path:line` of every match outside comments and strings. */
function occurrences(pattern: RegExp, concerns: (path: string) => boolean): string[] {
  return [...sources]
    .filter(([path]) => concerns(path))
    .flatMap(([path, text]) => {
      const lines = (/TODO|ts-/.test(pattern.source) ? text : withoutStrings(withoutComments(text))).split(
        '\n',
      );
      return lines.flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      );
    });
}

/** Keeps the line numbers. */
function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|[\s;{}(,])\/\/[^\n]*/g, '$1');
}

function withoutStrings(text: string): string {
  return text.replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

assert.ok(existsSync(join(root, 'src')), 'run from a checkout');
test.run();
