/** What the runner says: of each file as it ends, and of all at the end. Pure. */
import type { FileOutcome } from './file-run.ts';
import { firstFailure } from './first-failure.ts';

/** One line of what came of a file, what it measured or skipped, and all it printed where something failed. */
export function outcomeLines({ file, passed, failed, skipped, output, seconds }: FileOutcome): string[] {
  const mark = failed > 0 ? 'FAIL' : 'ok  ';
  return [
    `${mark} ${file}  ${passed} passed${skipped > 0 ? `, ${skipped} skipped` : ''}  ${seconds.toFixed(1)} s`,
    ...output
      .split('\n')
      .filter((line) => /^(skipped|measured):/.test(line))
      .map((line) => `       ${line}`),
    ...(failed > 0 ? [output] : []),
  ];
}

/**
 * The slowest files, then right before the count the reasons: `failed: FILE: TEST: MESSAGE` for every file that failed,
 * `unsteady: FILE` for what passed at a second try. The last line is the count.
 */
export function summaryLines(
  outcomes: readonly FileOutcome[],
  unsteady: readonly string[],
  seconds: number,
): string[] {
  const total = (key: 'passed' | 'failed' | 'skipped') =>
    outcomes.reduce((n, outcome) => n + outcome[key], 0);
  const bySeconds = [...outcomes].sort((a, b) => b.seconds - a.seconds);
  return [
    ...(outcomes.length > 1 ? ['the slowest:'] : []),
    ...bySeconds
      .slice(0, outcomes.length > 1 ? 10 : 0)
      .map((one) => `${one.seconds.toFixed(1).padStart(7)} s  ${one.file}`),
    `${outcomes.length} files in ${seconds.toFixed(0)} s`,
    ...outcomes
      .filter(({ failed }) => failed > 0)
      .map(({ file, output }) => `failed: ${file}: ${firstFailure(output)}`),
    ...unsteady.map((file) => `unsteady: ${file}`),
    `${total('passed')} passed, ${total('failed')} failed${total('skipped') > 0 ? `, ${total('skipped')} skipped` : ''}`,
  ];
}

const quickBudgetS = 180;

/** What the whole quick suite took of what it may take on two cores; more is told, not judged: machines differ. */
export function budgetLine(seconds: number): string {
  const share = `the quick suite: ${seconds.toFixed(0)} s of its ${quickBudgetS} s`;
  if (seconds <= quickBudgetS) return share;
  return `${share}: too long, unless the machine is slow or busy; see docs/testing.md`;
}
