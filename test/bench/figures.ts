/** What the benchmark finds, as plain data, and how a set of samples becomes one figure. Pure. */

/** One line of the table. */
export interface Row {
  /** The letter of the demand it answers, or '-' for a figure that only explains another. */
  readonly id: string;
  readonly what: string;
  /** The figure itself; undefined where it could not be measured. */
  readonly value: number | undefined;
  readonly unit: string;
  /** The figure must be below this (or equal, where it is a ratio). Undefined: for information. */
  readonly target: number | undefined;
  /** How the figure came about: spread, parts, or why it is missing. */
  readonly note: string;
}

export type Verdict = 'met' | 'MISSED' | 'skipped' | '';

export function verdictOf({ value, target }: Row): Verdict {
  if (value === undefined) return 'skipped';
  if (target === undefined) return '';
  return value <= target ? 'met' : 'MISSED';
}

/** A line that says why there is no figure. */
export function skippedRow(id: string, what: string, why: string): Row {
  return { id, what, value: undefined, unit: '', target: undefined, note: `skipped: ${why}` };
}

/** The middle sample, the mean of the two middle ones where their number is even. */
export function median(samples: readonly number[]): number {
  const sorted = ascending(samples);
  const upper = at(sorted, Math.floor(sorted.length / 2));
  return sorted.length % 2 === 1 ? upper : (upper + at(sorted, sorted.length / 2 - 1)) / 2;
}

/** The smallest sample that at least `share` (0 to 1) of all samples do not exceed. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = ascending(samples);
  return at(sorted, Math.max(0, Math.ceil(share * sorted.length) - 1));
}

/** `least - most of count`, for a note. */
export function spread(samples: readonly number[], digits: number): string {
  const sorted = ascending(samples);
  const [least, most] = [at(sorted, 0), at(sorted, sorted.length - 1)];
  return `${least.toFixed(digits)} - ${most.toFixed(digits)}, n = ${samples.length}`;
}

/** Each sample divided by the one of the same round: what the machine did in that round cancels out. */
export function ratios(samples: readonly number[], base: readonly number[]): number[] {
  return samples.map((sample, round) => sample / at(base, round));
}

function ascending(samples: readonly number[]): number[] {
  return [...samples].sort((a, b) => a - b);
}

function at(samples: readonly number[], index: number): number {
  const sample = samples[index];
  if (sample === undefined) throw new Error(`no sample ${index} of ${samples.length}`);
  return sample;
}
