/** The longest block of the updater's event loop, in a run of its own: what measures it takes memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from './figures.ts';
import type { Bench } from './setting.ts';

const boundMs = 20;

/** `run` starts an updater with this environment and sends it SIGUSR2 where the measurement begins. */
export async function loopRow(
  bench: Bench,
  what: string,
  run: (env: Readonly<Record<string, string>>) => Promise<unknown>,
): Promise<Row> {
  const figuresPath = join(bench.scratch, 'loop.json');
  await run({
    NODE_OPTIONS: `--require=${join(import.meta.dirname, '../integration/loop-delay.cjs')}`,
    LOOP_DELAY_FILE: figuresPath,
  });
  const { ownMaxMs, ownP999Ms, samples, waitedShare } = JSON.parse(readFileSync(figuresPath, 'utf8'));
  const note = `99.9 % below ${ownP999Ms.toFixed(1)} ms, ${samples} samples; waited for a processor ${(100 * waitedShare).toFixed(0)} % of the time`;
  bench.say(`${what}: ${ownMaxMs.toFixed(1)} ms; ${note}`);
  return { id: 'g', what, value: ownMaxMs, unit: 'ms', target: boundMs, note };
}
