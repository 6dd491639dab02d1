/** The updater's own decisions, on a real disk with scripted time, programs and network. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PackageRequest } from '../../src/download/request.ts';
import { UpdateError } from '../../src/errors.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Clock, FileStat, Files } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { createUpdater } from '../../src/updater/runner.ts';
import type { RunningUpdater, Stage } from '../../src/updater/state.ts';
import { type Device, device } from '../deploy/rig.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import { plainSettings } from '../fixtures/plain-settings.ts';
import { type ScriptedHost, scriptedHost } from '../powercut/scripted-host.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('runner', {} as Context);
test.before.each((context) => {
  context.d = device();
  context.d.put('targets/app', 'old');
});
test.after.each(({ d }) => d.remove());

interface Life {
  readonly host: ScriptedHost;
  readonly updater: RunningUpdater;
  /** Every stage shown, in order. */
  readonly stages: Stage[];
  /** Commands that were run. */
  readonly ran: string[][];
}

interface LifeOptions {
  readonly download?: Buffer;
  readonly bootId?: string;
  /** Of every helper program: the reboot command among them. */
  readonly status?: number;
  readonly deviceType?: string;
  readonly files?: Files;
}

async function start(d: Device, options: LifeOptions = {}): Promise<Life> {
  const { download, bootId = 'boot-1', status = 0, deviceType, files = realFiles() } = options;
  const scripted = scriptedHost(files, {
    healthStatus: status,
    answersReports: true,
    programs: [],
    bootId: 'boot-1',
    bornMs: 0,
    onReboot: () => undefined,
    stubborn: [],
    breaksAfterBytes: undefined,
    onAsked: () => undefined,
    onProgram: () => undefined,
    onCommand: () => undefined,
    download,
    onReport: () => undefined,
  });
  const ran: string[][] = [];
  const processes = {
    ...scripted.processes,
    bootId: async () => bootId,
    run: async (argv: readonly string[]) => {
      ran.push([...argv]);
      return { status, stdout: '', stderr: status === 0 ? '' : 'not allowed' };
    },
  };
  const stages: Stage[] = [];
  const settings = { ...plainSettings(join(d.root, 'work'), d.targets), deviceType };
  const clock = { ...scripted.clock, sleep: patientSleep(scripted.clock) };
  const updater = createUpdater({ ...scripted, processes, clock }, settings, [
    ({ stage }, urgent) => {
      if (urgent) stages.push(stage);
    },
  ]);
  await updater.recover();
  return { host: scripted, updater, stages, ran };
}

/** Short waits take no time; that for the machine's restart lasts until the daemon is stopped. */
function patientSleep(clock: Clock): Clock['sleep'] {
  return (ms, signal) => {
    if (ms < limits.rebootMs) return clock.sleep(ms, signal);
    return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  };
}

async function packageOf(
  d: Device,
  manifest: { version?: string } & Record<string, unknown>,
): Promise<{ request: PackageRequest; bytes: Buffer }> {
  const modules = [{ name: 'app', src: 'app', dst: join(d.targets, 'app') }];
  const { version = '2.0.0', ...rest } = manifest;
  const path = join(d.root, 'package.zip');
  const { sizeBytes, md5 } = await buildPackage(
    { version, modules, manifest: rest, files: { app: 'new' } },
    path,
  );
  const request = {
    version,
    package_url: 'https://store.example/p.zip',
    package_name: 'p.zip',
    package_size: sizeBytes,
    package_md5: md5,
  };
  return { request, bytes: readFileSync(path) };
}

async function until(life: Life, stage: Stage): Promise<void> {
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; ) {
    if (life.updater.progress().stage === stage) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`still ${life.updater.progress().stage}, not ${stage}\n${life.host.lines.join('\n')}`);
}

/** A daemon in whose tmp/ the package waits. */
async function waiting(
  d: Device,
  manifest: Record<string, unknown> = {},
  options: LifeOptions = {},
): Promise<Life> {
  const { request, bytes } = await packageOf(d, manifest);
  const life = await start(d, { ...options, download: bytes });
  await life.updater.download(request);
  await until(life, 'toInstall');
  return life;
}

const update = { version: '2.0.0', allow_downgrade: false };
const target = (d: Device) => readFileSync(join(d.targets, 'app'), 'utf8');

test('an update that asks for a restart of the machine ends in the next boot, recognised by its id', async ({
  d,
}) => {
  const first = await waiting(d, { reboot: true });
  await first.updater.update(update);
  await until(first, 'rebooting');
  assert.is(target(d), 'new');
  await first.updater.stop();
  assert.equal(first.ran.at(-1), ['systemctl', 'reboot']);

  const second = await start(d, { bootId: 'boot-2' });
  await until(second, 'success');
  await second.updater.settled();
  assert.is(target(d), 'new');
  assert.is((await second.updater.history())[0]?.outcome, 'success');
});

test('a daemon that was only restarted asks for the restart of the machine again', async ({ d }) => {
  const first = await waiting(d, { reboot: true });
  await first.updater.update(update);
  await until(first, 'rebooting');
  await first.updater.stop();

  const second = await start(d, { bootId: 'boot-1' });
  await until(second, 'rebooting');
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(second.ran, [['systemctl', 'reboot']]);
  await second.updater.stop();
});

test('a machine that refuses to restart undoes the update and says why', async ({ d }) => {
  const life = await waiting(d, { reboot: true }, { status: 1 });
  await life.updater.update(update);
  await until(life, 'failed');
  await life.updater.settled();
  assert.is(target(d), 'old');
  assert.match(
    life.updater.progress().error ?? '',
    /DEPLOYMENT_FAILED: the machine cannot be restarted: .*not allowed/,
  );
});

test('an install waits for a hold, says for whom, and goes on when it is released', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.hold({ owner: 'printer', reason: 'a print is running', ttl_s: 3600 });
  await life.updater.update(update);
  while (!life.updater.progress().message.startsWith('waiting for printer: a print is running')) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.is(target(d), 'old');
  assert.equal(await life.updater.release('printer'), []);
  await until(life, 'success');
  assert.is(target(d), 'new');
});

test('a package of the fleet is installed and cancelled for its own order only, and the history names it', async ({
  d,
}) => {
  const { request, bytes } = await packageOf(d, {});
  const first = await start(d, { download: bytes });
  await first.updater.download(request, '7@0123abcd');
  await until(first, 'toInstall');
  assert.is(first.updater.progress().facts?.action, '7@0123abcd');
  const refused = async (command: Promise<Stage>) =>
    assert.match(await command.catch(String), /OPERATION_IN_PROGRESS: .* is not of the order 8@0123abcd/);
  await refused(first.updater.update(update, '8@0123abcd'));
  await refused(first.updater.cancel('8@0123abcd'));
  await first.updater.stop();

  const second = await start(d);
  assert.is(second.updater.progress().facts?.action, '7@0123abcd');
  await second.updater.download(request, '9@0123abcd');
  assert.is(second.updater.progress().facts?.action, '9@0123abcd');
  await second.updater.update(update, '9@0123abcd');
  await until(second, 'success');
  await second.updater.settled();
  assert.is((await second.updater.history())[0]?.fleet_action, '9@0123abcd');
});

test('what waits for somebody is told where nothing is done', async ({ d }) => {
  const life = await waiting(d);
  life.updater.say('waits for your consent');
  assert.is(life.updater.progress().message, 'waits for your consent');
  assert.is(life.updater.progress().progress, 100);
});

test('an install that waits for a hold can be cancelled', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.hold({ owner: 'printer', reason: 'a print is running', ttl_s: 3600 });
  await life.updater.update(update);
  assert.is(await life.updater.cancel(), 'idle');
  assert.is(target(d), 'old');
  await life.updater.release('printer');
  assert.equal(d.snapshot('work/tmp'), ['work/tmp/ 755']);
});

test('a lower version is refused unless the command allows it', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.update(update);
  await until(life, 'success');
  await life.updater.settled();

  const { request, bytes } = await packageOf(d, { version: '1.0.0' });
  const next = await start(d, { download: bytes });
  await next.updater.download(request);
  await until(next, 'failed');
  const told = /DOWNGRADE_REFUSED: 1\.0\.0 is lower than the installed 2\.0\.0/;
  assert.match(next.updater.progress().error ?? '', told);
  const refused = await next.updater.update({ version: '1.0.0', allow_downgrade: false }).catch(String);
  assert.match(String(refused), told);
  const other = await next.updater.update({ version: '1.1.0', allow_downgrade: true }).catch(String);
  assert.match(String(other), /VERSION_MISMATCH/);
  await next.updater.update({ version: '1.0.0', allow_downgrade: true });
  await until(next, 'success');
});

test('a lower version may be asked for at the download, also once more after the refusal', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.update(update);
  await until(life, 'success');
  await life.updater.settled();

  const { request, bytes } = await packageOf(d, { version: '1.0.0' });
  const next = await start(d, { download: bytes });
  await next.updater.download(request);
  await until(next, 'failed');
  await next.updater.settled();
  await next.updater.download({ ...request, allow_downgrade: true });
  await until(next, 'toInstall');
  await next.updater.settled();
  await next.updater.stop();
  const again = await start(d, { download: bytes });
  assert.is(again.updater.progress().stage, 'toInstall');
  await again.updater.update({ version: '1.0.0', allow_downgrade: false });
  await until(again, 'success');
});

test('a rollback that nobody asked for tells why, to callers and in the history', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.update(update);
  await until(life, 'success');
  await life.updater.settled();
  await life.updater.rollback(undefined, new UpdateError('HEALTH_CHECK_FAILED', 'the new updater'));
  await until(life, 'failed');
  assert.is(life.updater.progress().error, 'HEALTH_CHECK_FAILED: the new updater');
  const [entry] = await life.updater.history();
  assert.equal(
    [entry?.kind, entry?.outcome, entry?.error],
    ['rollback', 'success', 'HEALTH_CHECK_FAILED: the new updater'],
  );
});

test('what such a rollback has told stays, where it was cut before all was tidied away', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.update(update);
  await until(life, 'success');
  await life.updater.settled();
  await life.updater.stop();
  const real = realFiles();
  const cut = await start(d, {
    files: {
      ...real,
      remove: async (path) => {
        if (path.endsWith('backups/journal')) throw new Error('cut here');
        await real.remove(path);
      },
    },
  });
  await cut.updater.rollback(undefined, new UpdateError('HEALTH_CHECK_FAILED', 'the new updater'));
  await until(cut, 'failed');
  await cut.updater.settled();
  await cut.updater.stop();
  const next = await start(d);
  await until(next, 'failed');
  await next.updater.settled();
  assert.not.ok(next.stages.includes('success'), String(next.stages));
  const [entry] = await next.updater.history();
  assert.is(entry?.error, 'HEALTH_CHECK_FAILED: the new updater');
});

test('a refused downgrade keeps nobody from a rollback, and cancel takes it away', async ({ d }) => {
  const life = await waiting(d);
  await life.updater.update(update);
  await until(life, 'success');
  await life.updater.settled();

  const { request, bytes } = await packageOf(d, { version: '1.0.0' });
  const next = await start(d, { download: bytes });
  await next.updater.download(request);
  await until(next, 'failed');
  assert.is(await next.updater.cancel(), 'idle');
  assert.equal(d.snapshot('work/tmp'), ['work/tmp/ 755']);
  const gone = await next.updater.update({ version: '1.0.0', allow_downgrade: true }).catch(String);
  assert.match(String(gone), /DOWNLOAD_INCOMPLETE/);
  await next.updater.download(request);
  await until(next, 'failed');
  await next.updater.rollback(undefined);
  await until(next, 'success');
});

test('a package for another device never waits', async ({ d }) => {
  const { request, bytes } = await packageOf(d, { compatible: ['gateway'] });
  const life = await start(d, { deviceType: 'printer', download: bytes });
  const before = d.snapshot();
  await life.updater.download(request);
  await until(life, 'failed');
  assert.match(life.updater.progress().error ?? '', /INCOMPATIBLE: .*"gateway".*"printer"/);
  await life.updater.settled();
  const isHistory = (line: string) => line.includes('history.jsonl');
  assert.equal(
    d.snapshot().filter((line) => !isHistory(line)),
    before,
  );
});

test('a damaged journal stops updates, keeps the evidence and leaves the files alone', async ({ d }) => {
  const evidence = join(d.backups, 'journal');
  const line = (text: string) => `${'0'.repeat(64)} ${text}\n`;
  writeFileSync(evidence, line('{}') + readyRecord());
  const before = d.snapshot();
  const life = await start(d);
  assert.match(life.updater.progress().error ?? '', /journal is damaged/);
  const refused = await life.updater.rollback(undefined).catch(String);
  assert.match(String(refused), /OPERATION_IN_PROGRESS: .*damaged/);
  assert.equal(d.snapshot(), before);
  assert.ok(readFileSync(evidence).length > 0);
});

test('an unreadable state.json is moved aside, logged, and the daemon starts afresh', async ({ d }) => {
  const state = join(d.root, 'work/tmp/state.json');
  for (const content of ['', '{', '[]', '{"operation":"update"}', '\u0000\u0000', 'x'.repeat(100_000)]) {
    writeFileSync(state, content);
    const life = await start(d);
    assert.is(life.updater.progress().stage, 'idle');
    assert.is(readFileSync(`${state}.damaged`, 'utf8'), content);
    assert.ok(life.host.lines.some((line) => line.startsWith('error') && line.includes('moved aside')));
  }
});

test('leftovers in tmp/ are removed at a start, the directories stay', async ({ d }) => {
  d.put('work/tmp/old.zip', 'x');
  d.put('work/tmp/old.zip.part', 'x');
  mkdirSync(join(d.root, 'work/tmp/somebody'));
  await start(d);
  assert.equal(d.snapshot('work/tmp'), ['work/tmp/ 755', 'work/tmp/somebody/ 755']);
});

/** A record that a journal could hold. */
function readyRecord(): string {
  const text = '{"state":"staged"}';
  const { createHash } = process.getBuiltinModule('node:crypto');
  return `${createHash('sha256').update(text).digest('hex')} ${text}\n`;
}

/** A disk on which nothing was changed for a year, until somebody changes it. */
function oldDisk(): Files {
  const files = realFiles();
  const aged = (stat: FileStat | undefined) =>
    stat && { ...stat, changedNs: stat.changedNs - 365n * 86_400n * 1_000_000_000n };
  return {
    ...files,
    stat: async (path) => aged(await files.stat(path)),
    statMany: async (paths) => (await files.statMany(paths)).map(aged),
  };
}

/** How the update was planned: its id is the time of its plan. */
async function planned(life: Life): Promise<'when it came' | 'at the install'> {
  const [entry] = await life.updater.history();
  assert.is(entry?.outcome, 'success');
  const started = (entry?.started_at ?? '').replace(/[-:.]/g, '');
  return entry?.id === started ? 'at the install' : 'when it came';
}

async function installAnHourLater(life: Life): Promise<void> {
  life.host.advance(3_600_000);
  await life.updater.update(update);
  await until(life, 'success');
  await life.updater.settled();
}

test('an install carries out the plan that was made when its package came', async ({ d }) => {
  const life = await waiting(d, {}, { files: oldDisk() });
  await installAnHourLater(life);
  assert.is(await planned(life), 'when it came');
  assert.is(target(d), 'new');
});

test('an install plans anew where its target was changed since its package came', async ({ d }) => {
  const life = await waiting(d, {}, { files: oldDisk() });
  d.put('targets/app', 'mine');
  await installAnHourLater(life);
  assert.is(await planned(life), 'at the install');
  assert.is(target(d), 'new');
});

test('a cancelled package takes its plan along: the same one is planned when it comes again', async ({
  d,
}) => {
  const life = await waiting(d, {}, { files: oldDisk() });
  await life.updater.cancel();
  d.put('targets/app', 'mine');
  const { request } = await packageOf(d, {});
  await life.updater.download(request);
  await until(life, 'toInstall');
  await installAnHourLater(life);
  assert.is(await planned(life), 'when it came');
  assert.is(target(d), 'new');
});

test('what an early plan has to say is said by the install', async ({ d }) => {
  const life = await waiting(d, { surprise: 1 }, { files: oldDisk() });
  assert.is(life.host.lines.filter((line) => /^warn .*surprise/.test(line)).length, 0);
  await installAnHourLater(life);
  assert.is(await planned(life), 'when it came');
  assert.is(life.host.lines.filter((line) => /^warn .*surprise/.test(line)).length, 1);
});

test.run();
