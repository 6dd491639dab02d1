/** The test runner's last lines: a log's end tells which files failed and why, and which passed only at a second try. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('the test runner');
const folder = mkdtempSync(join(tmpdir(), 'runner-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const uvu = import.meta.resolve('uvu');
const start = `import { existsSync, writeFileSync } from 'node:fs';
import { suite } from ${JSON.stringify(uvu)};
import * as assert from ${JSON.stringify(import.meta.resolve('uvu/assert'))};
const test = suite('a suite');
`;
const files: Readonly<Record<string, string>> = {
  'good.test.mjs': `${start}test('holds', () => undefined);\ntest.run();\n`,
  'bad.test.mjs': `${start}test('holds', () => undefined);
test('is "wrong"', () => assert.is(1, 2, 'one is not two'));
test('is wrong as well', () => assert.ok(false));
test.run();\n`,
  'broken.test.mjs': `${start}throw new TypeError('nothing works');\ntest.run();\n`,
  'hanging.test.mjs': `${start}test('waits', () => new Promise(() => setInterval(() => 0, 1000)));\ntest.run();\n`,
  'without-run.test.mjs': `${start}test('holds', () => undefined);\n`,
  'unsteady.test.mjs': `${start}test('holds the second time', () => {
  const isSecond = existsSync(${JSON.stringify(join(folder, 'was-here'))});
  writeFileSync(${JSON.stringify(join(folder, 'was-here'))}, '');
  assert.ok(isSecond, 'not yet');
});
test.run();\n`,
};

test('names what failed and what was unsteady right before the count', () => {
  const names = Object.keys(files).filter((name) => name !== 'hanging.test.mjs');
  assert.equal(lastLines(names, { TEST_TRIES: '2' }), [
    'failed: bad.test.mjs: is "wrong": one is not two',
    'failed: broken.test.mjs: TypeError: nothing works',
    'failed: without-run.test.mjs: the file never calls .run(): its tests would pass without running',
    'unsteady: unsteady.test.mjs',
    '3 passed, 4 failed',
  ]);
});

test('names what never ended', () => {
  assert.equal(lastLines(['hanging.test.mjs'], { TEST_FILE_TIMEOUT_MS: '1500' }), [
    'failed: hanging.test.mjs: still running after 1500 ms',
    '0 passed, 1 failed',
  ]);
});

test.run();

/** What the runner prints of these files after the line with their number. */
function lastLines(names: readonly string[], settings: Readonly<Record<string, string>>): string[] {
  for (const name of names) writeFileSync(join(folder, name), files[name] ?? '');
  const { NODE_V8_COVERAGE: _, ...environment } = process.env;
  const argv = ['--import', 'tsx', 'test/run.ts', ...names.map((name) => join(folder, name))];
  const { stdout, status } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...environment, ...settings },
  });
  assert.is(status, 1);
  const lines = stdout.trim().replaceAll(`${folder}/`, '').split('\n');
  return lines.slice(lines.findIndex((line) => /^\d+ files in /.test(line)) + 1);
}
