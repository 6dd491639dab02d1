/** Seeded fuzzing of what the device hands the daemon; FUZZ_RUNS and FUZZ_SEED as in the package's fuzzing. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deviceFuzzers } from './device-fuzzers.ts';
import { runFuzzer } from './run-fuzzer.ts';

const fuzzing = suite('fuzzed device');
const runs = Number(process.env.FUZZ_RUNS ?? 100);
const firstSeed = Number(process.env.FUZZ_SEED ?? 1);

const { fuzzers, close } = await deviceFuzzers();
fuzzing.after(close);

for (const fuzzer of fuzzers) {
  fuzzing(`${fuzzer.name}: no crash, no hang, nothing made up`, async () => {
    const outcomes = await runFuzzer(fuzzer, firstSeed, firstSeed + runs);
    console.log(
      `\nmeasured: ${fuzzer.name}: ${[...outcomes].map(([outcome, n]) => `${n} ${outcome}`).join(', ')}`,
    );
    if (runs >= 100) assert.ok(outcomes.size > 1, [...outcomes.keys()].join());
  });
}

fuzzing.run();
