/**
 * `make demo`: a whole update of a small device on this machine, through the daemon's HTTP API; the next one, which fetches only
 * what is not there yet; and one step back.
 *
 * Everything is real (package, services, daemon) and lives in a scratch folder and on free ports. What was started is
 * ended by its pid, also on Ctrl-C and on a failure. Exit code 0 only where everything was as it should be.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryEntry } from '../../src/history.ts';
import { type DeviceApi, startDeviceApi } from '../fixtures/device-api-server.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import { type Daemon, startDaemon } from '../integration/daemon.ts';
import { type PackageStore, startPackageStore } from '../integration/package-store.ts';
import { type FileFacts, makePrinter, type Printer } from './printer.ts';
import { makeScreen, type Screen } from './screen.ts';

const oldVersion = '1.4.0';
const newVersion = '1.5.0';
const nextVersion = '1.6.0';
const storeBytesPerSecond = 5_500_000;

interface Stand {
  readonly screen: Screen;
  readonly printer: Printer;
  readonly store: PackageStore;
  readonly daemon: Daemon;
}

const screen = makeScreen(process.stdout, process.env);
/** How to end what was started; carried out from the last to the first. */
const undoing: (() => unknown)[] = [];
let isEnding = false;

process.on('SIGINT', () => void end(130));
process.on('SIGTERM', () => void end(143));
try {
  await demo();
  await end(screen.failures().length === 0 ? 0 : 1);
} catch (thrown) {
  if (!isEnding) {
    screen.endBar();
    screen.line(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
    await end(1);
  }
}

async function demo(): Promise<void> {
  const started = performance.now();
  screen.title('tope-updater: a whole update on this machine');
  screen.note(
    'A printer in a scratch folder, a store that serves a package, and the daemon. No root needed.',
  );
  const stand = await setUp();
  const before = stand.printer.files();

  screen.heading('2. Download and verify');
  await download(stand, newVersion);
  screen.heading('3. Install');
  await install(stand, newVersion);
  const after = stand.printer.files();
  await showChanges(stand, before, after);
  screen.heading('5. The next update fetches only what is missing');
  const sizeBytes = await download(stand, nextVersion);
  await install(stand, nextVersion);
  await showSaving(stand, sizeBytes);
  await rollBack(stand, after);

  const failures = screen.failures();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  screen.title(
    failures.length === 0
      ? `Done in ${seconds} s: updated to ${newVersion} and ${nextVersion}, and rolled back to ${newVersion}.`
      : `Not as it should be: ${failures.join('; ')}`,
  );
}

async function setUp(): Promise<Stand> {
  screen.heading('1. The device');
  const printer = await makePrinter(oldVersion);
  undoing.push(() => printer.remove());
  const store = await startPackageStore(printer.shelf);
  store.throttle(storeBytesPerSecond);
  undoing.push(() => store.close());
  const deviceApi: DeviceApi = await startDeviceApi({
    onReport: ({ stage, progress, error }) =>
      screen.note(
        `report to device-api  ${stage.padEnd(11)}  ${progress} %${error === null ? '' : `  ${error}`}`,
      ),
  });
  undoing.push(() => deviceApi.close());
  const flags = ['--dir', printer.work, '--allow-root', printer.root, '--report-url', deviceApi.url];
  const daemon = await startDaemon([...flags, '--gui', join(printer.folder, 'no-gui')]);
  undoing.push(() => endDaemon(daemon));
  const answers = await printer.answers();
  screen.table([
    ...Object.entries(answers).map(([name, version]) => [`service ${name}`, `answers ${version}`]),
    ['tope-updater', `listens on ${daemon.url}, pid ${daemon.pid}`],
    ['package store', `serves at ${size(storeBytesPerSecond)}/s`],
  ]);
  screen.check(`both services run version ${oldVersion}`, allAnswer(answers, oldVersion));
  return { screen, printer, store, daemon };
}

/** Resolves with the size of the package, in bytes. */
async function download({ printer, store, daemon }: Stand, version: string): Promise<number> {
  const name = `printer-${version}.zip`;
  const built = await buildPackage(printer.packageOf(version), join(printer.shelf, name));
  screen.line(`POST /api/v1.0/download   ${name}, ${size(built.sizeBytes)}, MD5 ${built.md5}`);
  const reply = await daemon.post('download', {
    version,
    package_url: `${store.url}/${name}`,
    package_name: name,
    package_size: built.sizeBytes,
    package_md5: built.md5,
  });
  if (reply.code !== 200) throw new Error(reply.msg);
  const stage = await follow(daemon, ['downloading', 'verifying']);
  screen.check('the package is verified and waits to be installed', stage === 'toInstall');
  return built.sizeBytes;
}

async function install({ printer, daemon }: Stand, version: string): Promise<void> {
  screen.line(`POST /api/v1.0/update   {"version":"${version}"}`);
  const oldPids = printer.pids();
  const reply = await daemon.post('update', { version });
  if (reply.code !== 200) throw new Error(reply.msg);
  const stage = await follow(daemon, ['installing']);
  screen.check('the update was installed', stage === 'success');
  const answers = await printer.answers();
  screen.check(`both services answer ${version}`, allAnswer(answers, version));
  screen.check(
    `they are new processes: ${oldPids.join(', ')} -> ${printer.pids().join(', ')}`,
    printer.pids().length === oldPids.length && printer.pids().every((pid) => !oldPids.includes(pid)),
  );
}

async function showChanges(
  { printer }: Stand,
  before: Record<string, FileFacts>,
  after: Record<string, FileFacts>,
): Promise<void> {
  screen.heading('4. What changed on the disk');
  const facts = (file: FileFacts | undefined) =>
    file === undefined ? ['-', '', ''] : [file.md5.slice(0, 8), file.mode, size(file.sizeBytes)];
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  screen.table([
    ['file', `${oldVersion}: MD5`, 'mode', 'size', `${newVersion}: MD5`, 'mode', 'size'],
    ...paths.map((path) => [path, ...facts(before[path]), ...facts(after[path])]),
  ]);
  screen.check(
    'every file is the new one, with the mode of the file it replaced',
    paths.every((path) => before[path]?.md5 !== after[path]?.md5) &&
      paths.every((path) => !before[path] || !after[path] || before[path].mode === after[path].mode),
  );
  screen.note(`backups are kept in ${join(printer.work, 'backups')}`);
}

/** What the history says of the last download. */
async function showSaving({ daemon }: Stand, sizeBytes: number): Promise<void> {
  screen.line('GET /api/v1.0/history');
  const [entry] = (await daemon.get<{ updates: HistoryEntry[] }>('history')).data.updates;
  const { bytes_fetched = sizeBytes, bytes_reused = 0, requests = 0 } = entry?.download ?? {};
  screen.table([
    ['package', size(sizeBytes)],
    [
      'downloaded',
      `${size(bytes_fetched)}, ${Math.round((100 * bytes_fetched) / sizeBytes)} %, in ${requests} requests`,
    ],
    ['here already', size(bytes_reused)],
  ]);
  screen.check(
    'a quarter of the package was downloaded at most: one model is new, the other was here',
    bytes_fetched <= sizeBytes / 4,
  );
}

async function rollBack({ printer, daemon }: Stand, before: Record<string, FileFacts>): Promise<void> {
  screen.heading('6. Roll back');
  screen.line('POST /api/v1.0/rollback');
  const reply = await daemon.post('rollback');
  if (reply.code !== 200) throw new Error(reply.msg);
  const stage = await follow(daemon, ['installing']);
  screen.check('the rollback is done', stage === 'success');
  const answers = await printer.answers();
  screen.check(`both services answer ${newVersion} again`, allAnswer(answers, newVersion));
  screen.check(
    'every file is what it was before the last update',
    JSON.stringify(printer.files()) === JSON.stringify(before),
  );
}

/** Shows the progress as ota-gui would, by polling, until the stage is none of `stages`; gives the stage after. */
async function follow(daemon: Daemon, stages: readonly string[]): Promise<string> {
  for (;;) {
    const { stage, progress, message, error } = await daemon.progress();
    const isDone = !stages.includes(stage);
    screen.bar(isDone && error === null ? 100 : progress, error ?? message);
    if (isDone) {
      // The last reports come a moment after the change that they tell of.
      await sleep(150);
      screen.endBar();
      return stage;
    }
    await sleep(50);
  }
}

async function endDaemon(daemon: Daemon): Promise<void> {
  const gaveUp = new AbortController();
  const late = sleep(8_000, undefined, { signal: gaveUp.signal }).then(
    () => daemon.end('SIGKILL'),
    () => undefined,
  );
  await Promise.race([daemon.end('SIGTERM'), late]);
  gaveUp.abort();
}

async function end(status: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  screen.endBar();
  for (const undo of undoing.reverse()) await undo();
  process.exit(status);
}

function allAnswer(answers: Record<string, string>, version: string): boolean {
  return Object.values(answers).every((answer) => answer === version);
}

function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
