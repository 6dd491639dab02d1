/** The built program killed at calls that change files, as a test. */
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { killAtEveryCall, whyNoStrace } from './kill-points.ts';
import { orSkip, whyNotBuilt } from './on-filesystem.ts';

/** Adds the test; skips it, and says why, where strace is not there. */
export async function isWholeAfterKills(
  suite: Test,
  endings: readonly ('success' | 'failing health')[],
  points: number,
): Promise<void> {
  const why = whyNotBuilt() ?? (await whyNoStrace());
  orSkip(
    suite,
    'kill points',
    why,
  )('killed at file-changing calls, all old or all new', async () => {
    for (const ending of endings) {
      const result = await killAtEveryCall({ ending, points });
      console.log(
        `\nmeasured: kill, ${ending}: ${result.kills} of ${result.calls} points: ${result.old} old, ${result.new} new, ${result.bad.length} bad, ${(result.ms / 1000).toFixed(1)} s`,
      );
      assert.equal(result.bad, []);
      assert.is(result.kills, points);
    }
  });
}
