/** The doctor: each finding, in a place where it is wrong and in one where it is right. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { placeChecks } from '../../src/cli/doctor-places.ts';
import { probationChecks, runtimeCheck, trustCheck } from '../../src/cli/doctor-program.ts';
import { doctorTarget } from '../../src/cli/doctor-target.ts';
import type { Finding } from '../../src/cli/finding.ts';
import { resolveConfig } from '../../src/config.ts';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import { realProcesses } from '../../src/host/processes.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { withDevice } from '../integration/harness.ts';
import { suite } from '../runner/suites.ts';
import { command } from './command.ts';

const test = suite('doctor');
const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
const inMemory = mkdtempSync('/dev/shm/doctor-');
for (const name of ['tmp', 'logs', 'backups']) mkdirSync(join(inMemory, name));
test.after(() => {
  for (const path of [folder, inMemory]) rmSync(path, { recursive: true, force: true });
});

function findingsIn(stdout: string): Record<string, Finding> {
  const findings = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Finding);
  return Object.fromEntries(findings.map((finding) => [finding.check, finding]));
}

test('a device that is well: nothing fails, exit status 0', async () => {
  await withDevice(async (device) => {
    const { publicKey } = newSigner();
    const daemon = await device.start(['--trust-key', publicKey]);
    const { status, stdout, stderr } = await command([
      'doctor',
      '--json',
      '--url',
      daemon.url,
      ...['--dir', device.work, '--allow-root', device.root, '--trust-key', publicKey],
      ...['--report-url', device.deviceApi.url],
    ]);
    assert.is(status, 0, stdout + stderr);
    const found = findingsIn(stdout);
    const levels = Object.entries(found).map(([check, { level }]) => `${check}: ${level}`);
    for (const check of ['daemon', 'device-api', 'work directory', 'allowed root', 'keys', 'clock'])
      assert.ok(levels.includes(`${check}: ok`), stdout);
  });
});

test('the settings are those of the daemon that runs, as its command line and its folder tell them', async () => {
  const processes = realProcesses();
  await whileNamedLikeTheDaemon({}, async (pid) => {
    const target = await doctorTarget({}, processes);
    assert.equal([target.daemonPid, target.workDirectory], [pid, join(folder, 'work')]);
    assert.equal(target.config.allow_root, ['/srv']);
    const asked = await doctorTarget({ dir: '/elsewhere' }, processes);
    assert.equal([asked.daemonPid, asked.workDirectory], [pid, '/elsewhere']);
  });
  const none = await doctorTarget({}, processes);
  assert.equal([none.daemonPid, none.workDirectory], [undefined, '/opt/tope/updater']);
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log("skipped: another user's process with the daemon's name: not root");
(isRoot ? test : test.skip)(
  'a process that anybody could have started is not taken for the daemon',
  async () => {
    const processes = realProcesses();
    const copy = join(folder, 'set-uid-node');
    copyFileSync(process.execPath, copy);
    chmodSync(copy, 0o4755);
    for (const how of [
      { uid: 65_534, gid: 65_534 },
      { program: copy },
      { program: copy, uid: 65_534, gid: 65_534 },
    ])
      await whileNamedLikeTheDaemon(how, async () => {
        assert.is((await doctorTarget({}, processes)).daemonPid, undefined, JSON.stringify(how));
      });
  },
);

/** Runs a process whose command line reads as that of a daemon in the folder. */
async function whileNamedLikeTheDaemon(
  {
    program = process.execPath,
    flags = ['--dir', 'work', '--allow-root=/srv'],
    ...identity
  }: { program?: string; flags?: readonly string[]; uid?: number; gid?: number },
  action: (pid: number) => Promise<void>,
): Promise<void> {
  chmodSync(folder, 0o755);
  const script = join(folder, 'tope-updater.cjs');
  writeFileSync(script, "console.log('up'); setTimeout(() => {}, 30_000);");
  const child = spawn(program, [script, 'run', ...flags], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...identity,
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await action(child.pid ?? 0);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

const canUnshare = isRoot && spawnSync('unshare', ['--mount', 'true']).status === 0;
if (!canUnshare)
  console.log('skipped: a directory that only the daemon cannot write: unshare(1) is not allowed here');
(canUnshare ? test : test.skip)('a directory that only the daemon cannot write is found', async () => {
  const root = mkdtempSync(join(folder, 'root-'));
  const readOnly = `mount --bind ${root} ${root} && mount -o remount,ro,bind ${root} && echo up && exec sleep 30`;
  const child = spawn('unshare', ['--mount', 'sh', '-c', readOnly], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const places = { files: realFiles(), clock: realClock() };
    const look = async (daemonPid: number | undefined) => {
      const config = resolveConfig({ 'allow-root': [root] }, undefined);
      const target = {
        config,
        workDirectory: folder,
        configPath: undefined,
        daemonPid,
        elsewhere: undefined,
      };
      return (await placeChecks(places, target)).find(({ check }) => check === 'allowed root');
    };
    assert.is((await look(undefined))?.level, 'ok');
    const found = await look(child.pid);
    assert.is(found?.level, 'fail');
    assert.match(found?.found ?? '', /cannot be written \(EROFS for the daemon\)/);
    assert.match(found?.advice ?? '', /ReadWritePaths=/);
  } finally {
    child.kill('SIGKILL');
  }
});

test('files of TLS that are not there are named', async () => {
  const config = resolveConfig({ 'ca-file': '/none/ca.pem', 'allow-root': [folder] }, undefined);
  const target = {
    config,
    workDirectory: folder,
    configPath: undefined,
    daemonPid: undefined,
    elsewhere: undefined,
  };
  const findings = await placeChecks({ files: realFiles(), clock: realClock() }, target);
  const certificates = findings.find(({ check }) => check === 'certificates');
  assert.is(certificates?.level, 'fail');
  assert.is(certificates?.found, 'ca_file: /none/ca.pem cannot be read: ENOENT');
});

test('a new updater on probation is named, and one that has failed', async () => {
  const place = mkdtempSync(join(folder, 'probation-'));
  const probation = async () => (await probationChecks(realFiles(), [place, place]))[0];
  assert.is(await probation(), undefined);
  const put = (text: string) => writeFileSync(join(place, 'probation'), text);
  put('update 7\nboot\n');
  assert.match((await probation())?.found ?? '', /not proven itself yet; 1 start.*the one before is gone/);
  writeFileSync(join(place, 'tope-updater.previous'), '');
  assert.is((await probation())?.level, 'ok');
  put('update 7\nboot\nboot\nboot\n');
  assert.match((await probation())?.found ?? '', /3 starts; .*tope-updater.previous comes back/);
  put('update 7\nboot\ncommitted\nended\n');
  assert.match((await probation())?.found ?? '', /has committed itself and stays after 10 minutes/);
});

test('a Node without security fixes is a warning where packages need no signature', () => {
  const level = (version: string, isSigned: boolean, nowMs: number) =>
    runtimeCheck(version, isSigned, nowMs).level;
  const after = Date.UTC(2026, 4, 1);
  assert.is(level('20.11.0', false, after), 'warn');
  assert.match(runtimeCheck('20.11.0', false, after).advice ?? '', /--trust-key/);
  assert.is(level('20.11.0', true, after), 'ok');
  assert.match(runtimeCheck('20.11.0', true, after).found, /no security fixes since 2026-04-30/);
  assert.is(level('20.11.0', false, after - 1), 'ok', 'its last day');
  assert.is(level('26.12.1', false, after), 'ok');
});

/** What is wrong with the places -> the finding that says so. */
const places: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
  ['no work directory', { dir: join(folder, 'none') }, 'work directory: fail', /is not there/],
  ['an empty one', { dir: folder }, 'work directory: warn', /has no tmp, logs, backups/],
  ['one in memory', { dir: inMemory }, 'work directory: fail', /is in memory/],
  ['a file', { dir: '/etc/passwd', 'allow-root': [folder] }, 'work directory: fail', /is a file/],
  [
    'a root that is a file',
    { dir: folder, 'allow-root': ['/etc/passwd'] },
    'allowed root: fail',
    /is a file/,
  ],
  ['no allowed root', { 'allow-root': [join(folder, 'none')] }, 'allowed root: warn', /is not there/],
  [
    'a root elsewhere',
    { dir: folder, 'allow-root': ['/dev/shm'] },
    'allowed root: warn',
    /another filesystem/,
  ],
  ['no keys', {}, 'keys: warn', /need no signature/],
  ['a bad key', { 'trust-key': ['nonsense'] }, 'keys: fail', /not a minisign public key/],
  ['no key file', { 'trust-key': ['/none/a.pub'] }, 'keys: fail', /\/none\/a\.pub.* no file of that name/],
];
for (const [what, flags, expected, words] of places)
  test(`found: ${what}`, async () => {
    const config = resolveConfig(flags as Record<string, string>, undefined);
    const target = {
      config,
      workDirectory: config.dir,
      configPath: undefined,
      daemonPid: undefined,
      elsewhere: undefined,
    };
    const findings = await placeChecks({ files: realFiles(), clock: realClock() }, target);
    const finding = findings.find(({ check, level }) => `${check}: ${level}` === expected);
    assert.match(`${finding?.found} ${finding?.advice}`, words, JSON.stringify(findings));
  });

test('found: a full disk, and a clock that cannot be right', async () => {
  const files = {
    ...realFiles(),
    space: async () => ({ device: 1n, freeBytes: 1_000_000, blockBytes: 4096 }),
  };
  const clock = { ...realClock(), now: () => 0 };
  const config = resolveConfig({ dir: folder, 'allow-root': [folder] }, undefined);
  const findings = await placeChecks(
    { files, clock },
    { config, workDirectory: folder, configPath: undefined, daemonPid: undefined, elsewhere: undefined },
  );
  const failed = findings.filter(({ level }) => level === 'fail').map(({ check }) => check);
  assert.equal(failed, ['free space', 'clock']);
});

test('found: no daemon, nobody for the reports; exit status 1, and advice for each', async () => {
  const { status, stdout } = await command([
    'doctor',
    ...['--url', 'http://127.0.0.1:1', '--report-url', 'http://127.0.0.1:1/', '--dir', folder],
  ]);
  assert.is(status, 1);
  assert.match(stdout, /^fail {2}daemon .*no daemon answers at http:\/\/127\.0\.0\.1:1 .*\n +-> start it/m);
  assert.match(stdout, /^warn {2}device-api .*nobody listens at 127\.0\.0\.1:1 \(ECONNREFUSED\)\n +-> /m);
});

test('found: another program on the port of the daemon', async () => {
  const server = createServer((_, response) => response.end('not ours'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const { stdout } = await command([
      'doctor',
      '--json',
      '--url',
      `http://127.0.0.1:${port}`,
      '--dir',
      folder,
    ]);
    const { daemon } = findingsIn(stdout);
    assert.is(daemon?.level, 'fail');
    assert.match(`${daemon?.found}`, /is not tope-updater/);
  } finally {
    server.close();
  }
});

test('a daemon elsewhere: its answers are looked at, and nothing of this machine', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start(['--host', '0.0.0.0']);
    // No interface of this machine has that address, so whichever daemon runs here: it is not taken for the one there.
    const url = daemon.url.replace('127.0.0.1', '127.0.0.2');
    const { status, stdout } = await command(['doctor', '--json', '--url', url]);
    const found = findingsIn(stdout);
    assert.equal(Object.keys(found), ['configuration', 'daemon'], stdout);
    assert.match(`${found.configuration?.found}`, /only its answers are looked at/);
    assert.equal([status, found.daemon?.level], [0, 'ok']);
  });
});

test('which daemon --url means: this machine by any of its names, and its port', async () => {
  const flags = ['--host', '0.0.0.0', '--port', '4711'];
  await whileNamedLikeTheDaemon({ flags }, async () => {
    const asked = async (url: string, more = {}) =>
      (await doctorTarget({ url, ...more }, realProcesses())).elsewhere;
    for (const url of ['http://localhost:4711', 'http://127.0.0.1:4711/'])
      assert.is(await asked(url), undefined, url);
    for (const url of ['http://localhost', 'http://127.0.0.1:4712', 'http://192.0.2.7:4711'])
      assert.is(await asked(url), url);
    assert.is(await asked('http://192.0.2.7:4711', { 'token-file': '/t' }), 'http://192.0.2.7:4711');
    assert.is(await asked('http://192.0.2.7:4711', { dir: '/copied' }), undefined, 'its settings are given');
  });
});

(isRoot ? test : test.skip)('a file that root trusts and another may change is named', async () => {
  const place = mkdtempSync(join(tmpdir(), 'doctor-trust-'));
  writeFileSync(join(place, 'token'), 'secret');
  const paths = [join(place, 'token'), join(place, 'none')];
  assert.is((await trustCheck(paths)).level, 'ok');
  chownSync(join(place, 'token'), 65_534, 65_534);
  const { level, found } = await trustCheck(paths);
  assert.equal([level, found], ['warn', `${place}/token belongs to user 65534`]);
  rmSync(place, { recursive: true });
});

test.long('found: what the last audit found', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const { stage } = await device.install(daemon, device.usual('2.0.0'));
    assert.is(stage, 'success');
    rmSync(device.dataFile);
    assert.is((await command(['audit', '--url', daemon.url])).status, 4);
    const { stdout } = await command(['doctor', '--json', '--url', daemon.url, '--dir', device.work]);
    const finding = findingsIn(stdout)['deployed files'];
    assert.match(
      `${finding?.level}: ${finding?.found}`,
      /^warn: 1 file not as installed, at the audit of 20/,
    );
  });
});

test('found: a configuration that the daemon would refuse', async () => {
  const path = join(folder, 'config.json');
  writeFileSync(path, '{"colour": "red"}');
  const { status, stdout } = await command(['doctor', '--json', '--config', path]);
  assert.is(status, 1);
  assert.match(`${findingsIn(stdout).configuration?.found}`, /unknown key "colour"/);
});

test.run();
