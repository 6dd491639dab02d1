import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { crashLoop } from './crash-loop.ts';
import { program } from './daemon.ts';
import { filesystems, whyUnavailable } from './filesystems.ts';
import { installMany } from './install-cycles.ts';
import { killAtEveryCall, whyNoStrace } from './kill-points.ts';
import { cutOnRealDisk } from './real-disk.ts';

/** A few of each, to see that the long run (`make torture`) still works and finds nothing at once. */
const test = suite('the built program under power cuts and kills');
const cuts = 6;
const whyNotBuilt = existsSync(program) ? undefined : 'dist/tope-updater.cjs is not built';

for (const filesystem of filesystems) {
  const why = whyNotBuilt ?? (await whyUnavailable(filesystem));
  orSkip(`power cuts on ${filesystem.name}`, why)(`${filesystem.name}: all old or all new`, async () => {
    const result = await cutOnRealDisk({ filesystem, ending: 'success', cuts, seed: 1 });
    console.log(
      `\nmeasured: ${filesystem.name}: ${result.cuts} power cuts of ${result.writes} writes: ${result.old} old, ${result.new} new, ${result.bad.length} bad, ${(result.ms / 1000).toFixed(1)} s`,
    );
    assert.equal(result.bad, []);
    assert.is(result.unmountable, 0);
    assert.ok(result.old + result.new > 0);
  });
}

orSkip('kill points', whyNotBuilt ?? (await whyNoStrace()))('killed at file-changing calls', async () => {
  for (const ending of ['success', 'failing health'] as const) {
    const result = await killAtEveryCall({ ending, points: 4 });
    console.log(
      `\nmeasured: kill, ${ending}: ${result.kills} of ${result.calls} points: ${result.old} old, ${result.new} new, ${result.bad.length} bad, ${(result.ms / 1000).toFixed(1)} s`,
    );
    assert.equal(result.bad, []);
    assert.is(result.kills, 4);
  }
});

orSkip('crash loop', whyNotBuilt)('a crash loop in mid-install ends in a defined state', async () => {
  const result = await crashLoop({ starts: 5, lifeMs: 700 });
  console.log(
    `\nmeasured: crash loop: killed ${result.killsInInstall} times in mid-install: rests as ${result.stage}, the set is ${result.set}`,
  );
  assert.is(result.bad, undefined);
  assert.ok(result.killsInInstall > 0);
});

orSkip('many installs', whyNotBuilt)('installs on one daemon leave nothing behind', async () => {
  const result = await installMany(20, 1);
  assert.equal(result.namesAfter, result.namesBefore);
  assert.is(result.descriptorsAfter, result.descriptorsBefore);
});

test.run();

function orSkip(what: string, why: string | undefined): typeof test.skip {
  if (why === undefined) return test;
  console.log(`skipped: ${what}: ${why}`);
  return test.skip;
}
