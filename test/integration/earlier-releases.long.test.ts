/**
 * This version goes on from what an earlier release has left behind at each record of its journal (fixtures/releases, made by
 * leave-behind.ts), and the last release from what this one leaves: the update ends, and two rollbacks by this version lead back to
 * the first set.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from './daemon.ts';
import { buildBundleOf, commitOf, lastRelease } from './last-release.ts';
import { leaveBehind, type ReleaseFixture } from './leave-behind.ts';
import { endsWell, flagsOf, goesBack, inPlace } from './left-behind.ts';

const test = suite('what earlier releases leave behind');
const fixtures = join(import.meta.dirname, '../fixtures/releases');

for (const name of readdirSync(fixtures)) {
  const { folder, states } = JSON.parse(readFileSync(join(fixtures, name), 'utf8')) as ReleaseFixture;
  for (const [state, files] of Object.entries(states))
    test(`${name.replace('.json', '')}, ${state}: the update ends, and can be taken back`, () =>
      inPlace(folder, files, async () => {
        const daemon = await startDaemon(flagsOf(folder));
        try {
          await endsWell(daemon, folder, state);
          await goesBack(daemon, folder);
        } finally {
          await daemon.end('SIGKILL');
        }
      }));
}

const release = lastRelease();
const commit = commitOf(release);
if (commit === undefined)
  console.log(`skipped: ${release} on what this version leaves: the history of the sources is not here`);
else
  test(`${release} goes on from what this version leaves at each record, and this version from that`, async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'last-release-'));
    try {
      const bundle = buildBundleOf(commit, scratch);
      const { folder, states } = await leaveBehind('dist/tope-updater.cjs');
      assert.equal(Object.keys(states), [
        'toInstall',
        'stopping',
        'switching',
        'switched',
        'committed',
        'success',
      ]);
      for (const [state, files] of Object.entries(states))
        await inPlace(folder, files, async () => {
          const before = await startDaemon(flagsOf(folder), {}, [process.execPath, bundle]);
          await endsWell(before, folder, state).finally(() => before.end('SIGTERM'));
          const now = await startDaemon(flagsOf(folder));
          await goesBack(now, folder).finally(() => now.end('SIGKILL'));
        });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });

test.run();
