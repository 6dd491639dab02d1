/** Which images a power cut may leave of a recorded disk. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { diskCuts } from './disk-cuts.ts';
import type { DiskEvent } from './fuse-disk.ts';

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

cuts('even cuts lie at equal distances, first and last write among them, and leave out what they can', () => {
  const events = Array.from({ length: 101 }, (_, index) => write(index % 3, 'abcdefgh'[index % 8] ?? 'z'));
  const spread = { even: true, from: 0 } as const;
  const found = [...diskCuts(page('.', 3), events, 11, 7, spread)].map(({ what }) => what);
  const points = found.map((what) => Number(/(?:event|of) (\d+)/.exec(what)?.[1]));
  assert.equal(points, [1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 101]);
  assert.is(found.filter((what) => what.startsWith('prefix')).length, 6);
});

cuts.run();
