/**
 * The test runner: runs each test file in a process of its own, guards uvu's two traps (a file that never calls
 * `.run()` passes silently; nothing times out), and ends with the line `N passed, N failed`. Right before it stand the
 * reasons: `failed: FILE: TEST: MESSAGE` for every file that failed, `unsteady: FILE` for what passed at a second try.
 *
 * Usage: tsx test/run.ts [FILE|FOLDER ...]    (default: test/)
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { firstFailure } from './first-failure.ts';

const fileTimeoutMs = Number(process.env.TEST_FILE_TIMEOUT_MS ?? 400_000);
const maxTries = Number(process.env.TEST_TRIES ?? 1);

interface Outcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
  readonly seconds: number;
}

function testFiles(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path)
    .filter((name) => name !== 'fixtures')
    .map((name) => join(path, name))
    .flatMap((child) => (statSync(child).isDirectory() || child.endsWith('.test.ts') ? testFiles(child) : []))
    .sort();
}

async function runFile(file: string): Promise<Outcome> {
  const started = Date.now();
  const failure = (why: string): Outcome => ({
    file,
    passed: 0,
    failed: 1,
    skipped: 0,
    output: why,
    seconds: (Date.now() - started) / 1000,
  });
  const source = readFileSync(file, 'utf8');
  if (!/\.run\(\)/.test(source))
    return failure('the file never calls .run(): its tests would pass without running');

  const child = spawn(process.execPath, ['--import', 'tsx', '--expose-gc', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    detached: true,
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, fileTimeoutMs);
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);

  const counts = [...output.matchAll(/^ {2}(Total|Passed|Skipped):\s+(\d+)/gm)];
  const sum = (label: string) => counts.filter((m) => m[1] === label).reduce((n, m) => n + Number(m[2]), 0);
  const passed = sum('Passed');
  const skipped = sum('Skipped');
  if (timedOut) return failure(`${output}\nstill running after ${fileTimeoutMs} ms`);
  if (counts.length === 0) return failure(`${output}\nno test ran`);
  const failed = Math.max(sum('Total') - passed - skipped, status === 0 ? 0 : 1);
  return { file, passed, failed, skipped, output, seconds: (Date.now() - started) / 1000 };
}

function print(outcome: Outcome): void {
  const mark = outcome.failed > 0 ? 'FAIL' : 'ok  ';
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : '';
  console.log(`${mark} ${outcome.file}  ${outcome.passed} passed${skipped}  ${outcome.seconds.toFixed(1)} s`);
  for (const line of outcome.output.split('\n')) {
    if (/^(skipped|measured):/.test(line)) console.log(`       ${line}`);
  }
  if (outcome.failed > 0) console.log(outcome.output);
}

const started = Date.now();
const files = (process.argv.length > 2 ? process.argv.slice(2) : ['test']).flatMap(testFiles);
const outcomes: Outcome[] = [];
const unsteady: string[] = [];
for (const file of files) {
  let outcome = await runFile(file);
  print(outcome);
  for (let tries = 1; outcome.failed > 0 && tries < maxTries; tries++) {
    console.log(`again: ${file}: a noisy machine gets another try, what failed stands above`);
    outcome = await runFile(file);
    print(outcome);
    if (outcome.failed === 0) unsteady.push(file);
  }
  outcomes.push(outcome);
}
const total = (key: 'passed' | 'failed' | 'skipped') => outcomes.reduce((n, outcome) => n + outcome[key], 0);
const skipped = total('skipped') > 0 ? `, ${total('skipped')} skipped` : '';
console.log(`${files.length} files in ${((Date.now() - started) / 1000).toFixed(0)} s`);
for (const { file, failed, output } of outcomes)
  if (failed > 0) console.log(`failed: ${file}: ${firstFailure(output)}`);
for (const file of unsteady) console.log(`unsteady: ${file}`);
console.log(`${total('passed')} passed, ${total('failed')} failed${skipped}`);
process.exit(total('failed') > 0 || files.length === 0 ? 1 : 0);
