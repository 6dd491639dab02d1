/** A few power cuts on real filesystems while the updater replaces itself; `make torture` has many, of every kind of new updater. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type NewUpdaterKind, newUpdaters } from '../fixtures/new-updaters.ts';
import { filesystems, whyUnavailable } from './filesystems.ts';
import { orSkip, whyNotBuilt } from './on-filesystem.ts';
import { cutSelfUpdate } from './self-disk.ts';

const test = suite('a self-update under power cuts');

/** Which kinds on which filesystem, each with so many first cuts. */
const share: readonly (readonly [string, NewUpdaterKind, number])[] = [
  ['ext4', 'works', 4],
  ['ext4', 'aborts', 2],
  ['ext4', 'crashes later', 2],
  ['xfs', 'aborts', 2],
  ['btrfs', 'works', 2],
];

/** How they ended: of the few on one filesystem all may fall before the update is asked for. */
const seen = { old: 0, new: 0 };
let whyNone: string | undefined;

for (const filesystem of filesystems) {
  const here = share.filter(([name]) => name === filesystem.name);
  if (here.length === 0) continue;
  const why = whyNotBuilt() ?? (await whyUnavailable(filesystem));
  if (filesystem.name === 'ext4') whyNone = why;
  for (const [name, kind, cuts] of here)
    orSkip(
      test,
      `power cuts of a self-update on ${name}`,
      why,
    )(
      `${name}: one whole updater that ${newUpdaters[kind].what}, or the one before, and one true end`,
      async () => {
        const result = await cutSelfUpdate({ filesystem, kind, cuts, againEvery: 4, seed: 1 });
        console.log(
          `\nmeasured: ${name}: ${kind}: ${result.cuts} power cuts (${result.again} second ones): ${result.old} old, ${result.new} new, ${result.waiting} not asked yet, ${result.bad.length} bad, ${(result.ms / 1000).toFixed(1)} s`,
        );
        assert.equal(result.bad, []);
        assert.is(result.unmountable, 0);
        seen.old += result.old;
        seen.new += result.new;
      },
    );
}

orSkip(
  test,
  'the ends of these power cuts',
  whyNone,
)('some of them end with the old updater, some with the new one', () => {
  assert.ok(seen.old > 0 && seen.new > 0);
});

test.run();
