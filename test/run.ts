/**
 * The test runner: runs test files side by side, each in a process and, as root, in namespaces of its own; guards uvu's
 * two traps (a file that never calls `.run()` passes silently; nothing times out), and ends with the line
 * `N passed, N failed`.
 *
 * Usage: tsx test/run.ts [--quick|--long] [--coverage] [FILE|FOLDER ...]    (default: test/)
 *
 * --quick leaves out the files `*.long.test.ts` and the tests `test.long`, --long runs these alone; --coverage prints the line coverage of src.
 * The environment: JOBS is how many files run at a time (default: two for each core), TEST_TRIES how often a file that
 * fails is tried in all (default 1; the further tries come last, one file at a time), TEST_FILE_TIMEOUT_MS how long a
 * file may take.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compile } from './runner/compiled.ts';
import { counted, printCoverage } from './runner/coverage.ts';
import { type FileOutcome, type FileRunner, fileRunner } from './runner/file-run.ts';
import { budgetLine, outcomeLines, summaryLines } from './runner/report.ts';
import { isLong, longestFirst, testFiles } from './runner/test-files.ts';

const { values: wanted, positionals: paths } = parseArgs({
  options: { quick: { type: 'boolean' }, long: { type: 'boolean' }, coverage: { type: 'boolean' } },
  allowPositionals: true,
});
const suite = wanted.quick ? 'quick' : wanted.long ? 'long' : 'all';
const { JOBS, TEST_TRIES, TEST_FILE_TIMEOUT_MS } = process.env;

const started = Date.now();
const files = longestFirst((paths.length === 0 ? ['test'] : paths).flatMap((path) => testFiles(path, suite)));
mkdirSync('dist', { recursive: true });
const scratch = mkdtempSync(resolve('dist/tests-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
const counts = join(scratch, 'coverage');
const coverage = wanted.coverage ? counted(counts) : {};
const scripts = await compile(files, join(scratch, 'compiled')).catch((thrown: Error) => {
  console.log(`${thrown.message}\n0 passed, 1 failed`);
  process.exit(1);
});
const runner = fileRunner({
  scripts,
  timeoutMs: (file) => Number(TEST_FILE_TIMEOUT_MS ?? (suite === 'long' || isLong(file) ? 900_000 : 120_000)),
  // All of a long file is long.
  env: (file) => ({ TEST_SUITE: isLong(file) ? 'all' : suite, ...coverage }),
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    runner.endAll();
    process.exit(1);
  });
}
if (runner.whyShared !== undefined) console.log(`note: ${runner.whyShared}`);

// A file waits for half of its time.
const jobs = 2 * availableParallelism();
const outcomes = await runAll(runner, files, Number(JOBS ?? jobs));
const unsteady = await tryAgain(runner, outcomes, Number(TEST_TRIES ?? 1));
const seconds = (Date.now() - started) / 1000;
if (wanted.coverage) printCoverage(counts, join(scratch, 'compiled'));
if (suite === 'quick' && paths.length === 0) console.log(budgetLine((Date.now() - started) / 1000));
for (const line of summaryLines([...outcomes.values()], unsteady, seconds)) console.log(line);
process.exit(files.length === 0 || [...outcomes.values()].some(({ failed }) => failed > 0) ? 1 : 0);

/** What came of each file, in the order of `files`. */
async function runAll(
  { run }: FileRunner,
  files: readonly string[],
  jobs: number,
): Promise<Map<string, FileOutcome>> {
  const outcomes = new Map<string, FileOutcome>();
  const waiting = [...files];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const outcome = await run(file);
      print(outcome);
      outcomes.set(file, outcome);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, worker));
  return new Map(files.flatMap((file) => [...outcomes].filter(([of]) => of === file)));
}

/** Gives what failed its further tries, with nothing beside it; replaces its outcome; returns what passed now. */
async function tryAgain(
  { run }: FileRunner,
  outcomes: Map<string, FileOutcome>,
  tries: number,
): Promise<readonly string[]> {
  const unsteady: string[] = [];
  for (const [file, first] of outcomes) {
    let outcome = first;
    for (let done = 1; outcome.failed > 0 && done < tries; done++) {
      console.log(`again: ${file}: a noisy machine gets another try, what failed stands above`);
      outcome = await run(file);
      print(outcome);
      outcomes.set(file, outcome);
      if (outcome.failed === 0) unsteady.push(file);
    }
  }
  return unsteady;
}

function print(outcome: FileOutcome): void {
  console.log(outcomeLines(outcome).join('\n'));
}
