/**
 * Seeded fuzzing of what a package brings. FUZZ_RUNS sets the runs of each fuzzer (default 300), FUZZ_SEED the first
 * seed; a failure names the seed that repeats it.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { packageFuzzers } from '../fixtures/fuzz-package.ts';
import { runFuzzer } from '../fuzz/run-fuzzer.ts';

const fuzzing = suite('fuzzed packages');
const runs = Number(process.env.FUZZ_RUNS ?? 300);
const firstSeed = Number(process.env.FUZZ_SEED ?? 1);

for (const { name, run } of packageFuzzers()) {
  fuzzing(`${name}: refused by name or read as declared`, async () => {
    const outcomes = await runFuzzer({ name, run }, firstSeed, firstSeed + runs);
    console.log(`\nmeasured: ${name}: ${[...outcomes].map(([outcome, n]) => `${n} ${outcome}`).join(', ')}`);
    // A fuzzer whose every input is refused, or none, tests little.
    if (runs >= 300) assert.ok(outcomes.size > 1, [...outcomes.keys()].join());
  });
}

fuzzing.run();
