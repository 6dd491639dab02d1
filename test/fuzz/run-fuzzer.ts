/** Runs one fuzzer over a range of seeds. */
import type { Fuzzer } from '../fixtures/fuzz-package.ts';

/** Counts outcomes; rejects naming the seed that repeats a broken property. */
export async function runFuzzer(
  fuzzer: Fuzzer,
  fromSeed: number,
  toSeed: number,
): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  for (let seed = fromSeed; seed < toSeed; seed++) {
    const outcome = await fuzzer.run(seed).catch((cause: unknown) => {
      throw new Error(`${fuzzer.name}, FUZZ_SEED=${seed} FUZZ_RUNS=1`, { cause });
    });
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return outcomes;
}
