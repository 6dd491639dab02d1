/**
 * Makes the work directories that a release leaves behind, killed at each record of its journal, for the test that the next ones go on
 * from them. Run once for each release, with its bundle.
 *
 * usage: tsx test/integration/leave-behind.ts BUNDLE.cjs test/fixtures/releases/VERSION.json
 */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPackage } from '../fixtures/package-builder.ts';
import { environmentOf, freePort, until } from './daemon.ts';
import { startPackageStore } from './package-store.ts';

/** Of one device: every file by its path below the device's folder. */
export type Leftover = Readonly<Record<string, { readonly mode: number; readonly text: string }>>;

export interface ReleaseFixture {
  /** What the paths in journal and records begin with. */
  readonly folder: string;
  readonly states: Readonly<Record<string, Leftover>>;
}

/** Records of a journal, of whatever release; one that the bundle does not write is left out. */
const moments = ['staged', 'stopping', 'switching', 'switched', 'committed'];

export async function leaveBehind(bundle: string): Promise<ReleaseFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'release-'));
  const states: Record<string, Leftover> = {};
  for (const moment of ['toInstall', ...moments, 'success']) {
    rmSync(folder, { recursive: true, force: true });
    for (const name of ['work', 'opt', 'store']) mkdirSync(join(folder, name), { recursive: true });
    for (const name of ['a', 'b']) writeFileSync(join(folder, 'opt', name), `${name} of 1.0.0`);
    await install(folder, bundle, '1.1.0', 'success');
    if (!(await install(folder, bundle, '1.2.0', moment))) continue;
    states[moment] = { ...filesBelow(folder, 'work'), ...filesBelow(folder, 'opt') };
  }
  rmSync(folder, { recursive: true, force: true });
  return { folder, states };
}

/** False where that moment never came. */
async function install(folder: string, bundle: string, version: string, moment: string): Promise<boolean> {
  const deadly = readFileSync(bundle, 'utf8').replace(
    new RegExp(`(append|note)\\(\\{state:"${moment}"[^)]*\\}\\)`, 'g'),
    '$&.then(()=>process.kill(process.pid,"SIGKILL"))',
  );
  const program = join(folder, 'store/updater.cjs');
  writeFileSync(program, deadly);
  const store = await startPackageStore(join(folder, 'store'));
  const port = await freePort();
  const child = spawn(
    process.execPath,
    [
      program,
      'run',
      '--port',
      String(port),
      '--dir',
      join(folder, 'work'),
      '--allow-root',
      join(folder, 'opt'),
    ],
    { stdio: 'ignore', env: environmentOf({}) },
  );
  let hasEnded = false;
  const ended = new Promise<void>((done) => child.once('exit', () => done())).then(() => {
    hasEnded = true;
  });
  const call = async (name: string, body?: object): Promise<{ stage: string } | undefined> => {
    const init = body && {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
    const reply = await fetch(`http://127.0.0.1:${port}/api/v1.0/${name}`, init).catch(() => undefined);
    return reply && ((await reply.json()) as { data: { stage: string } }).data;
  };
  const reach = (stage: string) => until(stage, async () => (await call('progress'))?.stage === stage);
  const built = await buildPackage(
    {
      version,
      modules: ['a', 'b'].map((name) => ({ name, src: name, dst: join(folder, 'opt', name) })),
      files: { a: `a of ${version}`, b: `b of ${version}, longer` },
    },
    join(folder, 'store/package.zip'),
  );
  await until('the daemon', () => call('progress'));
  await call('download', {
    version,
    package_url: `${store.url}/package.zip`,
    package_name: 'package.zip',
    package_size: built.sizeBytes,
    package_md5: built.md5,
  });
  await reach('toInstall');
  if (moment !== 'toInstall') {
    await call('update', { version });
    await until('its end', async () => hasEnded || (await call('progress'))?.stage === 'success');
  }
  const isReached = hasEnded || moment === 'success' || moment === 'toInstall';
  child.kill('SIGTERM');
  await ended;
  await store.close();
  return isReached;
}

/** Without the padding behind the records of a journal. */
function filesBelow(folder: string, root: string): Leftover {
  const found: Record<string, { mode: number; text: string }> = {};
  for (const name of (readdirSync(join(folder, root), { recursive: true }) as string[]).sort()) {
    const path = `${root}/${name}`;
    const stat = statSync(join(folder, path));
    if (!stat.isFile() || name.startsWith('logs/') || name.startsWith('lock')) continue;
    const text = readFileSync(join(folder, path), 'latin1');
    const isJournal = path.endsWith('journal');
    found[path] = { mode: stat.mode & 0o7777, text: isJournal ? text.replace(/\0+$/, '') : text };
  }
  return found;
}

const [, , bundle, output] = process.argv;
if (import.meta.filename === process.argv[1] && bundle !== undefined && output !== undefined)
  writeFileSync(output, `${JSON.stringify(await leaveBehind(bundle), null, 1)}\n`);
