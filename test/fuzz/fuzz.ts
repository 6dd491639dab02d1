/**
 * `make fuzz`: every fuzzer in turn, over and over, until the time is up (FUZZ_MINUTES, default 10). Seeds go on from
 * FUZZ_SEED, or from one of the day's making, which is printed; FUZZ_ONLY is a pattern of their names. Ends with one line a fuzzer; exit code 1 after a find.
 */
import { packageFuzzers } from '../fixtures/fuzz-package.ts';
import { deviceFuzzers } from './device-fuzzers.ts';
import { runFuzzer } from './run-fuzzer.ts';

const seedsPerRound = 200;
const deadline = performance.now() + Number(process.env.FUZZ_MINUTES ?? 10) * 60_000;
const firstSeed = Number(process.env.FUZZ_SEED ?? Math.floor(Date.now() / 1000) % 1_000_000_000);
console.log(`first seed ${firstSeed}`);

const device = await deviceFuzzers();
const only = new RegExp(process.env.FUZZ_ONLY ?? '');
const fuzzers = [...packageFuzzers(), ...device.fuzzers].filter(({ name }) => only.test(name));
const totals = fuzzers.map((fuzzer) => ({
  fuzzer,
  runs: 0,
  outcomes: new Map<string, number>(),
  finds: [] as string[],
}));

for (let seed = firstSeed; performance.now() < deadline; seed += seedsPerRound) {
  for (const total of totals) {
    try {
      const outcomes = await runFuzzer(total.fuzzer, seed, seed + seedsPerRound);
      for (const [outcome, n] of outcomes)
        total.outcomes.set(outcome, (total.outcomes.get(outcome) ?? 0) + n);
    } catch (thrown) {
      total.finds.push(String(thrown));
      console.log(thrown);
    }
    total.runs += seedsPerRound;
  }
}
await device.close();

const growthMb = Math.round(process.memoryUsage().rss / 1024 / 1024);
for (const { fuzzer, runs, outcomes, finds } of totals) {
  const summary = [...outcomes].sort(([, a], [, b]) => b - a).map(([outcome, n]) => `${n} ${outcome}`);
  console.log(`${fuzzer.name}: ${runs} runs, ${finds.length} finds (${summary.join(', ')})`);
}
console.log(`resident at the end: ${growthMb} MB`);
process.exit(totals.some(({ finds }) => finds.length > 0) ? 1 : 0);
