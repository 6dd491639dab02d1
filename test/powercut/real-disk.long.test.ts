/** A few of each, to see that the long run (`make torture`) still works and finds nothing at once. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { crashLoop } from './crash-loop.ts';
import { filesystems } from './filesystems.ts';
import { installMany } from './install-cycles.ts';
import { isWholeAfterKills } from './killed.ts';
import { onFilesystem, orSkip, whyNotBuilt } from './on-filesystem.ts';

const test = suite('the built program under power cuts and kills');

for (const filesystem of filesystems) await onFilesystem(test, filesystem, 6);
await isWholeAfterKills(test, ['success', 'failing health'], 4);

orSkip(
  test,
  'crash loop',
  whyNotBuilt(),
)('a crash loop in mid-install ends in a defined state', async () => {
  const result = await crashLoop({ starts: 5, lifeMs: 700 });
  console.log(
    `\nmeasured: crash loop: killed ${result.killsInInstall} times in mid-install: rests as ${result.stage}, the set is ${result.set}`,
  );
  assert.is(result.bad, undefined);
  assert.ok(result.killsInInstall > 0);
});

orSkip(
  test,
  'many installs',
  whyNotBuilt(),
)('installs on one daemon leave nothing behind', async () => {
  const result = await installMany(20, 1);
  assert.equal(result.namesAfter, result.namesBefore);
  assert.is(result.descriptorsAfter, result.descriptorsBefore);
});

test.run();
