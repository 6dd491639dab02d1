/** The lock of a work directory: one holder, whatever is left there, whoever else is on the machine. */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { lockDirectory } from '../../src/host/lock.ts';

const test = suite('lock');
const folder = mkdtempSync(join(tmpdir(), 'lock-'));
let count = 0;
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('one of many that start at once has the lock, also where a killed one left its own', async () => {
  for (let round = 0; round < 4; round += 1) {
    const work = newWork();
    if (round % 2 === 0) leaveDeadSocket(work);
    const taken = await Promise.all(Array.from({ length: 16 }, () => lockDirectory(work)));
    assert.is(taken.filter((isTaken) => isTaken).length, 1, `round ${round}`);
    assert.not(await lockDirectory(work));
    assert.is(readdirSync(join(work, 'lock')).length, 1);
    assert.equal(readdirSync(work), ['lock'], 'the others left nothing');
  }
});

test('one of many processes has the lock, and a kill -9 frees it', async () => {
  const work = newWork();
  const starters = Array.from({ length: 3 }, () => starter(work));
  const answers = await Promise.all(starters.map(({ answer }) => answer));
  assert.equal(answers.sort(), ['false', 'false', 'true']);
  assert.not(await lockDirectory(work));
  for (const { child } of starters) child.kill('SIGKILL');
  await Promise.all(starters.map(({ ended }) => ended));
  assert.ok(await lockDirectory(work));
});

test('who comes too late writes nothing', async () => {
  const work = newWork();
  assert.ok(await lockDirectory(work));
  const before = statSync(work, { bigint: true }).mtimeNs;
  assert.not(await lockDirectory(work));
  assert.is(statSync(work, { bigint: true }).mtimeNs, before);
});

test('what killed starters left is taken away, one that still starts is not', async () => {
  const work = newWork();
  mkdirSync(join(work, 'lock.1-empty'));
  mkdirSync(join(work, 'lock.2-dead'));
  leaveDeadSocket(work, 'lock.2-dead');
  mkdirSync(join(work, 'lock.3-alive'));
  const alive = createServer().listen({ path: join(work, 'lock.3-alive/3-alive') });
  await new Promise((resolve) => alive.once('listening', resolve));
  assert.ok(await lockDirectory(work));
  assert.equal(readdirSync(work).sort(), ['lock', 'lock.3-alive']);
  alive.close();
});

test('a path longer than that of a socket may be has a lock, too', async () => {
  const work = join(newWork(), 'a'.repeat(200));
  mkdirSync(work);
  assert.ok(await lockDirectory(work));
  assert.not(await lockDirectory(work));
});

test('a lock that is no directory is an error, and stays as it is', async () => {
  const [file, link] = [newWork(), newWork()];
  writeFileSync(join(file, 'lock'), 'mine');
  const elsewhere = newWork();
  writeFileSync(join(elsewhere, 'precious'), '');
  symlinkSync(elsewhere, join(link, 'lock'));
  for (const work of [file, link]) {
    const error = await lockDirectory(work).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.is(errno(error), 'ENOTDIR');
    assert.equal(readdirSync(work), ['lock']);
  }
  assert.ok(existsSync(join(elsewhere, 'precious')));
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log('skipped: another user at the lock: not root');
(isRoot ? test : test.skip)('another user can neither take the lock nor reach it', async () => {
  chmodSync(folder, 0o755);
  const work = newWork();
  const { dev, ino } = statSync(work, { bigint: true });
  // What the lock was called when it was a name that anybody could bind.
  const squatter = asNobody(`
    const { createServer } = require('node:net');
    createServer().listen('\\0tope-updater:${dev}:${ino}', () => console.log('bound'));
    setTimeout(() => process.exit(), 20_000);`);
  assert.is(await squatter.answer, 'bound');
  try {
    assert.ok(await lockDirectory(work));
    const socket = join(work, 'lock', readdirSync(join(work, 'lock'))[0] ?? '');
    const attempts = [
      `require('node:net').connect('${socket}').on('connect', () => console.log('in')).on('error', (e) => console.log(e.code))`,
      `try { require('node:fs').readdirSync('${join(work, 'lock')}'); console.log('in') } catch (e) { console.log(e.code) }`,
      `try { require('node:fs').renameSync('${join(work, 'lock')}', '${join(work, 'mine')}'); console.log('in') } catch (e) { console.log(e.code) }`,
    ];
    for (const attempt of attempts) {
      const { stdout } = spawnSync(process.execPath, ['-e', attempt], {
        encoding: 'utf8',
        ...{ uid: 65_534, gid: 65_534 },
      });
      assert.is(stdout.trim(), 'EACCES', attempt);
    }
  } finally {
    squatter.child.kill('SIGKILL');
  }
});

test.run();

function newWork(): string {
  count += 1;
  const path = join(folder, `work-${count}`);
  mkdirSync(path);
  return path;
}

/** A socket file that nobody is behind, as a kill leaves it. */
function leaveDeadSocket(work: string, directory = 'lock'): void {
  mkdirSync(join(work, directory), { recursive: true });
  const script = `
    const path = process.argv[1];
    require('node:net').createServer().listen({ path }, () => process.kill(process.pid, 'SIGKILL'));`;
  const path = join(work, directory, '1-dead');
  spawnSync(process.execPath, ['-e', script, path]);
  assert.ok(statSync(path).isSocket());
}

function starter(work: string) {
  const lock = join(import.meta.dirname, '../../src/host/lock.ts');
  const script = `import('${lock}').then(async (m) => { console.log(await m.lockDirectory('${work}')); setTimeout(() => {}, 30_000); })`;
  return started(['--import', 'tsx', '-e', script], {});
}

function asNobody(script: string) {
  return started(['-e', script], { uid: 65_534, gid: 65_534 });
}

/** A program, the first line that it says, and its end. */
function started(args: readonly string[], identity: { uid?: number; gid?: number }) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], ...identity });
  const answer = new Promise<string>((resolve) => {
    child.stdout.once('data', (text: Buffer) => resolve(text.toString().trim()));
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return { child, answer, ended };
}
