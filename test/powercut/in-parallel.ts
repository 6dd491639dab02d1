/**
 * Runs shares of a long piece of work in processes of their own, as one bundled file: tsx sends each dynamic import of the
 * product through another thread, which takes a third of the time where the product starts thousands of times.
 *
 * The entry prints one line of JSON for each result; its argument is the number of its share and how many there are.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeBundle } from '../../build/bundle.ts';
import { run } from './run-tool.ts';

const timeoutMs = 380_000;

/** Bundles `entry` and runs it once for each core; the results of all, in no order. Rejects where one fails. */
export async function runInParallel<T>(entry: URL): Promise<T[]> {
  const directory = await mkdtemp(join(tmpdir(), 'powercut-'));
  try {
    const bundle = join(directory, 'entry.cjs');
    await writeBundle(bundle, fileURLToPath(entry));
    const shares = Math.min(4, availableParallelism());
    // Without a coverage of its own, which a thousand starts of the product would only slow down.
    const env = { NODE_V8_COVERAGE: '' };
    const outputs = await Promise.all(
      Array.from({ length: shares }, (_, share) =>
        run([process.execPath, '--enable-source-maps', bundle, String(share), String(shares)], {
          env,
          timeoutMs,
        }),
      ),
    );
    return outputs.flatMap((output) => output.split('\n').filter((line) => line !== '')).map(parse<T>);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function parse<T>(line: string): T {
  return JSON.parse(line) as T;
}
