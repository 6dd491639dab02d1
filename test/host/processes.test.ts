/** The processes port on this machine: real children, their identity, their session, their end. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { realProcesses } from '../../src/host/processes.ts';
import { eventually, factsIn, fixtures } from '../services/device.ts';

const test = suite('processes port');
const port = realProcesses();
const path = process.env.PATH ?? '/usr/bin:/bin';
const noSystemd = '/nonexistent/systemd';
const service = join(fixtures, 'child-service.sh');
const isRoot = process.getuid?.() === 0;

const directory = mkdtempSync(join(tmpdir(), 'tope-processes-'));
// A started program does not keep its starter alive; these tests wait for ends all the same.
const alive = setInterval(() => undefined, 1_000);
test.after(() => {
  clearInterval(alive);
  rmSync(directory, { recursive: true, force: true });
});

async function rejection(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (thrown) {
    if (thrown instanceof Error) return thrown;
  }
  throw new Error('it did not fail');
}

async function stop(started: { pid: number; ended: Promise<number | string> }): Promise<number | string> {
  port.signal(started.pid, 'SIGTERM');
  return await started.ended;
}

test('a started program has its own session, its directory, environment and arguments, and no descriptors', async () => {
  const facts = join(directory, 'facts');
  const started = await port.start({
    argv: [service, 'a b', '', 'c'],
    cwd: directory,
    env: { PATH: path, FACTS: facts, MARK: 'own value' },
  });
  const seen = await factsIn(facts);
  assert.is(seen.session, `${started.pid} pid=${started.pid}`);
  assert.is(seen.cwd, directory);
  assert.is(seen.mark, 'own value');
  assert.is(seen.args, 'a b  c');
  assert.is(seen.descriptors?.trim(), '/dev/null /dev/null /dev/null');
  assert.is(await stop(started), 0);
});

test('the end of a program is its exit status or the name of its signal', async () => {
  const env = { PATH: path };
  const fails = await port.start({ argv: [join(fixtures, 'child-fails.sh')], cwd: '/', env });
  assert.is(await fails.ended, 3);
  const sleeps = await port.start({ argv: ['sleep', '30'], cwd: '/', env });
  assert.is(port.signal(sleeps.pid, 'SIGKILL'), true);
  assert.is(await sleeps.ended, 'SIGKILL');
  assert.is(port.signal(sleeps.pid, 'SIGKILL'), false);
});

test('a program that cannot be executed rejects with the system code', async () => {
  const plain = join(directory, 'plain');
  writeFileSync(plain, 'text', { mode: 0o644 });
  const notBinary = join(directory, 'not-binary');
  writeFileSync(notBinary, 'text', { mode: 0o755 });
  const cases: [argv: string[], cwd: string, code: string][] = [
    [['/nonexistent/x'], '/', 'ENOENT'],
    [['no-such-program-anywhere'], '/', 'ENOENT'],
    [[''], '/', 'ENOENT'],
    [[plain], '/', 'EACCES'],
    [[directory], '/', 'EACCES'],
  ];
  for (const [argv, cwd, code] of cases) {
    const error = await rejection(port.start({ argv, cwd, env: { PATH: path } }));
    assert.is(errno(error), code, `${argv.join(' ')}: ${error.message}`);
  }
});

test('argv[0] is looked for as the kernel would: relative to cwd, or in the PATH of the program', async () => {
  const env = { PATH: `${directory}/own:/bin` };
  mkdirSync(join(directory, 'own'));
  copyFileSync('/bin/true', join(directory, 'own', 'only-here'));
  for (const argv of [['./own/only-here'], ['only-here']]) {
    const { ended } = await port.start({ argv, cwd: directory, env });
    assert.is(await ended, 0);
  }
});

test('where argv[0] names no program the known executable runs', async () => {
  const command = { argv: ['worker: idle', '-c', 'exit 7'], cwd: '/', env: {}, program: '/bin/sh' };
  const { ended } = await port.start(command);
  assert.is(await ended, 7);
});

if (isRoot) {
  test('a program runs as the user, group and supplementary groups it is given', async () => {
    const open = mkdtempSync(join(tmpdir(), 'tope-open-'));
    chmodSync(open, 0o777);
    const run = async (tools: { path: string; systemdDirectory: string }, groups?: number[]) => {
      const facts = join(open, `facts-${groups?.join('-')}-${tools.path.length}`);
      const command = { argv: ['/bin/sh', service], cwd: '/', env: { PATH: path, FACTS: facts } };
      const readable = join(open, 'service.sh');
      copyFileSync(service, readable);
      const started = await realProcesses(tools).start({
        ...command,
        argv: ['/bin/sh', readable],
        uid: 65534,
        gid: 65533,
        ...(groups === undefined ? {} : { groups }),
      });
      const seen = await factsIn(facts);
      await stop(started);
      return seen.uid;
    };
    const tools = { path, systemdDirectory: noSystemd };
    assert.is(await run(tools, [20, 44]), '65534 gid=65533 groups=65533 20 44');
    assert.is(await run(tools), '65534 gid=65533 groups=65533');
    // Without setpriv the user is still right; the supplementary groups are lost.
    assert.is(
      await run({ path: '/nonexistent', systemdDirectory: noSystemd }, [20]),
      '65534 gid=65533 groups=65533',
    );
    rmSync(open, { recursive: true });
  });

  test('where systemd runs a program gets a scope of its own, in place', async () => {
    const tools = mkdtempSync(join(directory, 'tools-'));
    copyFileSync(join(fixtures, 'child-systemd-run.sh'), join(tools, 'systemd-run'));
    const facts = join(directory, 'scope-facts');
    const scoped = realProcesses({ path: `${tools}:${path}`, systemdDirectory: directory });
    const started = await scoped.start({ argv: [service], cwd: '/', env: { PATH: path, FACTS: facts } });
    const seen = await factsIn(facts);
    assert.is(readFileSync(join(tools, 'scope'), 'utf8').trim(), '--scope --collect --quiet');
    assert.is(seen.session, `${started.pid} pid=${started.pid}`);
    assert.is(await stop(started), 0);
  });

  test('a helper that is to be apart runs in a scope of its own, with its words, status, bounds and end', async () => {
    const tools = mkdtempSync(join(directory, 'apart-'));
    copyFileSync(join(fixtures, 'child-systemd-run.sh'), join(tools, 'systemd-run'));
    const { run } = realProcesses({ path: `${tools}:${path}`, systemdDirectory: directory });
    const options = { isApart: true, env: { PATH: path, MARK: 'kept' } };
    const said = await run(['/bin/sh', '-c', 'echo $MARK; exit 3'], 20_000, options);
    assert.equal([said.status, said.stdout], [3, 'kept\n']);
    assert.is(readFileSync(join(tools, 'scope'), 'utf8').trim(), '--scope --collect --quiet');
    const pid = join(tools, 'pid');
    const long = run(['/bin/sh', '-c', `sleep 60 & echo $! > ${pid}; wait`], 1000, options);
    assert.match(await long.then(String, String), /did not end within 1000 ms/);
    const started = Number(readFileSync(pid, 'utf8'));
    const isGone = async () => !/^State:\s[^ZX]/m.test((await port.read(started, 'status')) ?? '');
    await eventually('what it had started is ended, too', isGone);
  });

  test('where systemd runs without systemd-run a program starts plainly', async () => {
    const plain = realProcesses({ path: '/nonexistent', systemdDirectory: directory });
    const { ended } = await plain.start({ argv: ['/bin/true'], cwd: '/', env: {} });
    assert.is(await ended, 0);
  });
} else {
  console.log('skipped: identity and scope of started programs: needs root');
  test.skip('a program runs as the user, group and supplementary groups it is given', () => undefined);
  test.skip('where systemd runs a program gets a scope of its own, in place', () => undefined);
  test.skip('a helper that is to be apart runs in a scope of its own, with its words, status, bounds and end', () =>
    undefined);
  test.skip('where systemd runs without systemd-run a program starts plainly', () => undefined);
}

test('this process can be read, one that is gone cannot', async () => {
  assert.ok((await port.list()).includes(process.pid));
  assert.match((await port.read(process.pid, 'cmdline')) ?? '', /processes\.test\.m?[jt]s/);
  assert.is(await port.readLink(process.pid, 'cwd'), process.cwd());
  const { status } = await port.run(['true'], 5_000);
  assert.is(status, 0);
  assert.is(await port.read(2 ** 22 + 1, 'stat'), undefined);
  assert.is(await port.readLink(2 ** 22 + 1, 'exe'), undefined);
});

test('a started program can be found at once, behind setpriv and systemd-run too', async () => {
  const tools = mkdtempSync(join(directory, 'visible-'));
  copyFileSync(join(fixtures, 'child-systemd-run.sh'), join(tools, 'systemd-run'));
  const wrapped = realProcesses({ path: `${tools}:${path}`, systemdDirectory: directory });
  const identity = isRoot ? { uid: 0, gid: 0, groups: [20] } : {};
  const command = { argv: ['/bin/sleep', '30'], cwd: '/', env: { PATH: path } };
  for (const start of [() => port.start(command), () => wrapped.start({ ...command, ...identity })]) {
    for (let round = 0; round < 5; round++) {
      const started = await start();
      assert.is(await port.read(started.pid, 'cmdline'), '/bin/sleep\0' + '30\0');
      assert.is(await stop(started), 'SIGTERM');
    }
  }
});

test('long entries are read whole', async () => {
  const env = { LONG: 'ä'.repeat(20_000) };
  const started = await port.start({ argv: ['/bin/sleep', '30'], cwd: '/', env });
  // Under a measurement of coverage, node adds a variable of its own.
  const entries = (await port.read(started.pid, 'environ'))?.split('\0') ?? [];
  assert.ok(entries.includes(`LONG=${env.LONG}`));
  await stop(started);
});

test('a signal never goes to init, to a group or to everything', () => {
  for (const pid of [1, 0, -1, -process.pid, 1.5, Number.NaN]) {
    assert.throws(() => port.signal(pid, 'SIGTERM'), /not a process to signal/);
  }
});

test('a helper gives its status and both outputs, each cut at 64 KiB', async () => {
  const said = await port.run(['sh', '-c', 'echo out; echo err >&2; exit 4'], 5_000);
  assert.equal(said, { status: 4, stdout: 'out\n', stderr: 'err\n' });
  const much = await port.run(['sh', '-c', 'head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2'], 5_000);
  assert.equal([much.stdout.length, much.stderr.length, much.status], [65_536, 65_536, 0]);
  assert.is((await port.run(['sh', '-c', 'kill -9 $$'], 5_000)).status, 137);
});

test('a helper that cannot be run rejects, one that takes too long is killed with what it started', async () => {
  assert.is(errno(await rejection(port.run(['/nonexistent/x'], 5_000))), 'ENOENT');
  const pidFile = join(directory, 'grandchild');
  const script = `sleep 60 & echo $! > ${pidFile}; wait`;
  const error = await rejection(port.run(['sh', '-c', script], 300));
  assert.is(errno(error), 'ETIMEDOUT');
  assert.match(error.message, /did not end within 300 ms/);
  const grandchild = Number(readFileSync(pidFile, 'utf8'));
  await eventually('the grandchild is gone', async () => {
    const stat = await port.read(grandchild, 'stat');
    return stat === undefined || / Z /.test(stat);
  });
});

test('a helper that leaves something with its pipes open is not waited for', async () => {
  const pidFile = join(directory, 'left');
  const started = Date.now();
  const said = await port.run(['sh', '-c', `echo done; sleep 20 & echo $! > ${pidFile}`], 15_000);
  assert.equal(said, { status: 0, stdout: 'done\n', stderr: '' });
  assert.ok(Date.now() - started < 10_000);
  port.signal(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
});

test('a program outlives the process that started it', async () => {
  const facts = join(directory, 'outlives');
  const starter = join(directory, 'starter.ts');
  symlinkSync(new URL('../../src', import.meta.url).pathname, join(directory, 'src'));
  const command = { argv: [service], cwd: '/', env: { PATH: path, FACTS: facts } };
  writeFileSync(
    starter,
    `import { realProcesses } from './src/host/processes.ts';
     realProcesses().start(${JSON.stringify(command)}).then(({ pid }) => console.log(pid));`,
  );
  const tsx = import.meta.resolve('tsx');
  const said = await port.run([process.execPath, '--import', tsx, starter], 20_000);
  assert.is(said.status, 0, said.stderr);
  const pid = Number(said.stdout);
  await factsIn(facts);
  assert.ok(existsSync(`/proc/${pid}`));
  assert.is(port.signal(pid, 'SIGKILL'), true);
});

test.run();
