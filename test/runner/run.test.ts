/**
 * The test runner: files run side by side and apart from each other, a hanging one is ended, and the last lines tell
 * which files failed and why, and which passed only at a second try.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { isolation } from './namespaces.ts';
import { suite } from './suites.ts';

const test = suite('the test runner');
const folder = mkdtempSync(join(tmpdir(), 'runner-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const { whyShared } = isolation();
const whenIsolated = whyShared === undefined ? test : test.skip;
const whenIsolatedLong = whyShared === undefined ? test.long : test.skip;
if (whyShared !== undefined) console.log(`skipped: files apart from each other: ${whyShared}`);

const start = `import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from ${JSON.stringify(import.meta.resolve('uvu'))};
import * as assert from ${JSON.stringify(import.meta.resolve('uvu/assert'))};
const test = suite('a suite');
const here = (name) => ${JSON.stringify(folder)} + '/' + name;
const come = async (name) => {
  for (let tries = 0; tries < 400 && !existsSync(here(name)); tries++) await sleep(25);
  assert.ok(existsSync(here(name)), name + ' never came');
};
`;
const holds = `test('holds', () => undefined);\n`;
/** Ends when the other one of two files has begun as well. */
const meets = (name: string, other: string) => `test('meets the other', async () => {
  writeFileSync(here('${name}'), '');
  await come('${other}');
});`;
/** Holds a port and looks at every process while the other one of two files does the same. */
const alone = (name: string, other: string) => `test('is alone', async () => {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(4567, '127.0.0.1', resolve));
  writeFileSync(here('${name}'), '');
  await come('${other}');
  const pids = readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).map(Number);
  const foreign = pids.filter((pid) => pid !== 1 && pid !== process.pid);
  writeFileSync(here('${name}-seen'), '');
  await come('${other}-seen');
  server.close();
  assert.equal(foreign, []);
});`;
const files: Readonly<Record<string, string>> = {
  good: holds,
  bad: `${holds}
test('is "wrong"', () => assert.is(1, 2, 'one is not two'));
test('is wrong as well', () => assert.ok(false));`,
  broken: `throw new TypeError('nothing works');`,
  hanging: `test('waits', () => new Promise(() => setInterval(() => 0, 1000)));`,
  leaving: `test('leaves a child', async () => {
  const loop = 'while sleep 0.05; do echo >> ' + here('alive') + '; done';
  spawn('sh', ['-c', loop], { detached: true, stdio: 'ignore' }).unref();
  await come('alive');
});`,
  open: `${holds}createServer().listen(0);`,
  'with-child': `test('waits with a child', () => {
  const child = spawn('sh', ['-c', 'while sleep 0.05; do echo >> ' + here('alive') + '; done'], { detached: true });
  return new Promise(() => child);
});`,
  unsteady: `test('holds the second time', () => {
  const isSecond = existsSync(here('was-here'));
  writeFileSync(here('was-here'), '');
  assert.ok(isSecond, 'not yet');
});`,
  left: meets('left', 'right'),
  right: meets('right', 'left'),
  one: alone('one', 'two'),
  two: alone('two', 'one'),
};

test('names what failed and what was unsteady right before the count', async () => {
  writeFileSync(join(folder, 'without-run.test.mjs'), `${start}${holds}`);
  const names = ['good', 'bad', 'broken', 'without-run', 'unsteady'];
  const { reasons, status } = await runnerOn(names, { TEST_TRIES: '2' });
  assert.is(status, 1);
  assert.equal(reasons, [
    'failed: bad.test.mjs: is "wrong": one is not two',
    'failed: broken.test.mjs: TypeError: nothing works',
    'failed: without-run.test.mjs: the file never calls .run(): its tests would pass without running',
    'unsteady: unsteady.test.mjs',
    '3 passed, 4 failed',
  ]);
});

test.long('names what does not compile', async () => {
  const path = join(folder, 'unreadable.test.ts');
  writeFileSync(path, 'test.run() }');
  const { printed, status } = await runnerOn([path]);
  assert.match(printed.join('\n'), /unreadable\.test\.ts:1:11: .*\n0 passed, 1 failed$/);
  assert.is(status, 1);
});

test('ends and names what never ended', async () => {
  const { reasons, status } = await runnerOn(['hanging'], { TEST_FILE_TIMEOUT_MS: '1500' });
  assert.is(status, 1);
  assert.equal(reasons, ['failed: hanging.test.mjs: still running after 1500 ms', '0 passed, 1 failed']);
});

test.long('names what ends its tests and stays', async () => {
  const { reasons } = await runnerOn(['open'], { TEST_FILE_TIMEOUT_MS: '5000' });
  assert.match(
    reasons[0] ?? '',
    /^failed: open\.test\.mjs: still running after 5000 ms, though its tests have ended: /,
  );
});

test.long('runs as many files at a time as JOBS says', async () => {
  const { reasons, status } = await runnerOn(['left', 'right'], { JOBS: '2' });
  assert.equal([status, reasons], [0, ['2 passed, 0 failed']]);
});

test.long('names the slowest ten', async () => {
  const { printed } = await runnerOn(['good', 'broken']);
  const at = printed.indexOf('the slowest:');
  assert.equal(
    printed
      .slice(at + 1, at + 3)
      .map((line) => /^ +\d+\.\d s {2}(\S+)$/.exec(line)?.[1])
      .sort(),
    ['broken.test.mjs', 'good.test.mjs'],
  );
});

test.long('runs long tests of a file in the long suite alone, and only these', async () => {
  const suites = JSON.stringify(resolve('test/runner/suites.ts'));
  const mixed = mkdtempSync(resolve('dist/mixed-')); // what is compiled lies within the project
  writeFileSync(
    join(mixed, 'mixed.test.ts'),
    `import { suite } from ${suites};
const test = suite('mixed');
test('short', () => console.log('\\nmeasured: short'));
test.long('long', () => console.log('\\nmeasured: long'));
test.run();
`,
  );
  const ran = async (flag: string) =>
    (await runnerOn([flag, mixed])).printed
      .filter((line) => /measured/.test(line))
      .map((line) => line.trim());
  try {
    assert.equal(await ran('--quick'), ['measured: short']);
    assert.equal(await ran('--long'), ['measured: long']);
  } finally {
    rmSync(mixed, { recursive: true });
  }
});

whenIsolated('a file sees no process and no port of another', async () => {
  const { reasons } = await runnerOn(['one', 'two'], { JOBS: '2' });
  assert.equal(reasons, ['2 passed, 0 failed']);
});

whenIsolatedLong('what a file leaves running ends with it', async () => {
  const { reasons } = await runnerOn(['leaving']);
  assert.equal(reasons, ['1 passed, 0 failed']);
  await isStill(join(folder, 'alive'));
});

whenIsolatedLong('a runner that is told to end ends its files', async () => {
  rmSync(join(folder, 'alive'), { force: true });
  const { status } = await runnerOn(['with-child'], {}, async (end) => {
    for (let tries = 0; tries < 400 && !existsSync(join(folder, 'alive')); tries++) await sleep(25);
    end('SIGTERM');
  });
  assert.is(status, 1);
  await isStill(join(folder, 'alive'));
});

test.run();

/** Runs the runner on these files; `reasons` is what it prints after the line with their number. */
async function runnerOn(
  names: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  meanwhile: (end: (signal: NodeJS.Signals) => void) => Promise<void> = async () => undefined,
): Promise<{ printed: string[]; reasons: string[]; status: number | null }> {
  const paths = names.map((name) => {
    if (/^[/-]/.test(name)) return name;
    const path = join(folder, `${name}.test.mjs`);
    if (files[name] !== undefined) writeFileSync(path, `${start}${files[name]}\ntest.run();\n`);
    return path;
  });
  const { NODE_V8_COVERAGE: _, ...environment } = process.env;
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/run.ts', ...paths], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...environment, JOBS: '1', ...settings },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await meanwhile((signal) => child.kill(signal));
  const status = await ended;
  const printed = text.trim().replaceAll(`${folder}/`, '').split('\n');
  return {
    printed,
    reasons: printed.slice(printed.findIndex((line) => /^\d+ files in /.test(line)) + 1),
    status,
  };
}

/** Fails where the file still grows. */
async function isStill(path: string): Promise<void> {
  const size = readFileSync(path).length;
  assert.ok(size > 0);
  await sleep(300);
  assert.is(readFileSync(path).length, size);
}
