import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { diskCuts } from './disk-cuts.ts';
import {
  filesystems,
  makeFilesystem,
  makeScratch,
  mount,
  removeScratch,
  unmount,
  whyUnavailable,
} from './filesystems.ts';
import { type DiskEvent, serveFuseDisk } from './fuse-disk.ts';
import { run } from './run-tool.ts';

const disk = suite('recorded disk');

for (const filesystem of filesystems) {
  const why = await whyUnavailable(filesystem);
  if (why !== undefined) console.log(`skipped: recorded disk on ${filesystem.name}: ${why}`);
  const test = why === undefined ? disk : disk.skip;

  test(`${filesystem.name}: what was synced is in every image cut after the flush`, async () => {
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
  });
}

disk.run();

const cuts = suite('disk cuts');
const pageBytes = 4096;
const page = (letter: string, pages = 1) => Buffer.alloc(pages * pageBytes, letter);
const write = (pageNumber: number, letter: string, pages = 1): DiskEvent => ({
  kind: 'write',
  offset: pageNumber * pageBytes,
  bytes: page(letter, pages),
});

function images(events: readonly DiskEvent[], wanted = 200): string[] {
  const shapes = new Set<string>();
  for (const cut of diskCuts(page('.', 3), events, wanted, 1))
    shapes.add([0, 1, 2].map((at) => String.fromCharCode(cut.image[at * pageBytes] ?? 0)).join(''));
  return [...shapes].sort();
}

cuts('unflushed writes are dropped, reordered and torn at 4 KiB', () => {
  assert.equal(images([write(0, 'a', 2), write(2, 'b')]), [
    '...',
    '..b',
    '.a.',
    '.ab',
    'a..',
    'a.b',
    'aa.',
    'aab',
  ]);
});

cuts('a flush makes what came before it part of every image', () => {
  assert.equal(images([write(0, 'a'), { kind: 'flush' }, write(1, 'b')]), ['...', 'a..', 'ab.']);
});

cuts('a page written twice holds either of the two', () => {
  assert.equal(images([write(0, 'a'), { kind: 'flush' }, write(0, 'b'), write(0, 'c')]), [
    '...',
    'a..',
    'b..',
    'c..',
  ]);
});

cuts('a small number is spread over the recording, the same for the same seed', () => {
  const events = Array.from({ length: 300 }, (_, index) => write(index % 3, 'abcdefgh'[index % 8] ?? 'z'));
  const words = () => [...diskCuts(page('.', 3), events, 10, 7)].map((cut) => cut.what);
  assert.equal(words(), words());
  assert.ok(words().length > 5 && words().length <= 11);
});

cuts.run();
