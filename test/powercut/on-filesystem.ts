/** What must hold on a real filesystem, as tests: the recorded disk is honest, and the built program comes back whole. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { program } from './daemon.ts';
import { diskCuts } from './disk-cuts.ts';
import {
  type Filesystem,
  makeFilesystem,
  makeScratch,
  mount,
  removeScratch,
  unmount,
  whyUnavailable,
} from './filesystems.ts';
import { serveFuseDisk } from './fuse-disk.ts';
import { cutOnRealDisk } from './real-disk.ts';
import { run } from './run-tool.ts';

/** Adds the tests of one filesystem, with so many power cuts; skips them, and says why, where it cannot be made. */
export async function onFilesystem(suite: Test, filesystem: Filesystem, cuts: number): Promise<void> {
  const { name } = filesystem;
  const why = await whyUnavailable(filesystem);
  orSkip(
    suite,
    `recorded disk on ${name}`,
    why,
  )(`${name}: what was synced is in every image cut after the flush`, () => isSyncedInEveryImage(filesystem));
  orSkip(
    suite,
    `power cuts on ${name}`,
    whyNotBuilt() ?? why,
  )(`${name}: all old or all new`, () => isWholeAfterCuts(filesystem, cuts));
}

/** The suite's own test function, or that which skips, once `why` is printed. */
export function orSkip(suite: Test, what: string, why: string | undefined): Test | Test['skip'] {
  if (why === undefined) return suite;
  console.log(`skipped: ${what}: ${why}`);
  return suite.skip;
}

export function whyNotBuilt(): string | undefined {
  return existsSync(program) ? undefined : 'dist/tope-updater.cjs is not built';
}

async function isSyncedInEveryImage(filesystem: Filesystem): Promise<void> {
  const directory = await makeScratch();
  const at = (name: string) => join(directory, name);
  try {
    await mkdir(at('mounted'));
    await makeFilesystem(filesystem, at('image'));
    const base = await readFile(at('image'));
    const recorded = await serveFuseDisk(Buffer.from(base), at('disk'));
    await mount(filesystem, at('disk'), at('mounted'));
    await run(['dd', 'if=/dev/zero', `of=${at('mounted')}/file`, 'bs=9000', 'count=1', 'conv=fsync']);
    await run(['sync', at('mounted')]);
    recorded.mark('synced');
    await run(['dd', 'if=/dev/zero', `of=${at('mounted')}/later`, 'bs=9000', 'count=1', 'conv=fsync']);
    await unmount(at('mounted'));
    await recorded.stop();
    assert.ok(recorded.events.some((event) => event.kind === 'flush'));

    let synced = 0;
    for (const cut of diskCuts(base, recorded.events, 40, 1)) {
      if (!cut.marks.includes('synced')) continue;
      await writeFile(at('image'), cut.image);
      await mount(filesystem, at('image'), at('mounted'));
      const content = await readFile(at('mounted/file'));
      await unmount(at('mounted'));
      assert.is(content.length, 9000, cut.what);
      synced += 1;
    }
    assert.ok(synced > 0);
  } finally {
    await removeScratch(directory);
  }
}

async function isWholeAfterCuts(filesystem: Filesystem, cuts: number): Promise<void> {
  const result = await cutOnRealDisk({ filesystem, ending: 'success', cuts, seed: 1 });
  console.log(
    `\nmeasured: ${filesystem.name}: ${result.cuts} power cuts of ${result.writes} writes: ${result.old} old, ${result.new} new, ${result.boots} recovered at boot (${result.halves} halves), ${result.bad.length} bad, ${(result.ms / 1000).toFixed(1)} s`,
  );
  assert.equal(result.bad, []);
  assert.is(result.unmountable, 0);
  assert.ok(result.old + result.new > 0);
}
