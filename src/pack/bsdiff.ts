/**
 * The difference between two files as Colin Percival's bsdiff 4.3 finds it (BSD-2-Clause). Pure. Its form:
 * ../download/bspatch.ts. For the machine that packs: takes some ten times the old file's size of memory.
 */
import { sortedSuffixes } from './suffixes.ts';

/** A stretch of `add` bytes that is nearly the old file's, `extra` bytes that are not, and how far the old position goes then. */
interface Stretch {
  readonly from: number;
  readonly oldFrom: number;
  readonly add: number;
  readonly extra: number;
  seek: number;
}

export function bsdiff(old: Buffer, now: Buffer): Buffer {
  const stretches = stretchesOf(old, now);
  const patch = Buffer.alloc(stretches.reduce((sum, { add, extra }) => sum + 24 + add + extra, 0));
  let at = 0;
  for (const { from, oldFrom, add, extra, seek } of stretches) {
    putNumber(patch, add, at);
    putNumber(patch, extra, at + 8);
    putNumber(patch, seek, at + 16);
    at += 24;
    for (let n = 0; n < add; n++) patch[at + n] = (now[from + n] ?? 0) - (old[oldFrom + n] ?? 0);
    at += add;
    at += now.copy(patch, at, from + add, from + add + extra);
  }
  return patch;
}

/** Sign and magnitude, eight bytes, the lowest first. */
function putNumber(into: Buffer, value: number, at: number): void {
  into.writeUInt32LE(Math.abs(value), at);
  into.writeUInt32LE(value < 0 ? 0x80000000 : 0, at + 4);
}

function stretchesOf(old: Buffer, now: Buffer): Stretch[] {
  const stretches: Stretch[] = [];
  const longestMatch = matcher(old, now);
  const isSame = (at: number, oldAt: number) => oldAt >= 0 && oldAt < old.length && old[oldAt] === now[at];
  let scan = 0;
  let match = { length: 0, at: 0 };
  /** Where the stretch before ends, in the new file and in the old one, and how far they lie apart. */
  let last = { scan: 0, at: 0, offset: 0 };
  while (scan < now.length) {
    /** Bytes of the match that go on with the last stretch as well. */
    let onward = 0;
    scan += match.length;
    let scored = scan;
    for (; scan < now.length; scan++) {
      match = longestMatch(scan);
      for (; scored < scan + match.length; scored++) if (isSame(scored, scored + last.offset)) onward++;
      if ((match.length === onward && match.length !== 0) || match.length > onward + 8) break;
      if (isSame(scan, scan + last.offset)) onward--;
    }
    if (match.length === onward && scan < now.length) continue;
    let forward = bestLength(
      Math.min(scan - last.scan, old.length - last.at),
      (n) => old[last.at + n] === now[last.scan + n],
    );
    let back = 0;
    if (scan < now.length)
      back = bestLength(
        Math.min(scan - last.scan, match.at),
        (n) => old[match.at - 1 - n] === now[scan - 1 - n],
      );
    const overlap = last.scan + forward - (scan - back);
    if (overlap > 0) {
      const kept = bestSplit(
        overlap,
        (n) => now[scan - back + n] === old[last.at + forward - overlap + n],
        (n) => now[scan - back + n] === old[match.at - back + n],
      );
      forward += kept - overlap;
      back -= kept;
    }
    const extra = scan - back - (last.scan + forward);
    const seek = match.at - back - (last.at + forward);
    const before = stretches.at(-1);
    // What makes nothing only moves: but for the first, the one before does that.
    if (forward + extra === 0 && before !== undefined) before.seek += seek;
    else stretches.push({ from: last.scan, oldFrom: last.at, add: forward, extra, seek });
    last = { scan: scan - back, at: match.at - back, offset: match.at - scan };
  }
  return stretches;
}

/** The length up to `most` in which the most bytes beyond half of them are the same; the shortest of these. */
function bestLength(most: number, isSame: (n: number) => boolean): number {
  let same = 0;
  let best = { score: 0, length: 0 };
  for (let length = 1; length <= most; length++) {
    if (isSame(length - 1)) same++;
    if (same * 2 - length > best.score) best = { score: same * 2 - length, length };
  }
  return best.length;
}

/** How many of `count` bytes go to the first side, so that most are the same. */
function bestSplit(
  count: number,
  isSameFirst: (n: number) => boolean,
  isSameSecond: (n: number) => boolean,
): number {
  let score = 0;
  let best = { score: 0, kept: 0 };
  for (let n = 0; n < count; n++) {
    if (isSameFirst(n)) score++;
    if (isSameSecond(n)) score--;
    if (score > best.score) best = { score, kept: n + 1 };
  }
  return best.kept;
}

/** The longest stretch of `old` with which `now` goes on at a place. */
function matcher(old: Buffer, now: Buffer): (at: number) => { length: number; at: number } {
  const order = sortedSuffixes(old);
  const lengthAt = (oldAt: number, at: number) => {
    const most = Math.min(old.length - oldAt, now.length - at);
    let length = 0;
    while (length < most && old[oldAt + length] === now[at + length]) length++;
    return length;
  };
  return (at) => {
    let low = 0;
    let high = old.length;
    while (high - low >= 2) {
      const middle = low + ((high - low) >> 1);
      const oldAt = order[middle] ?? 0;
      const end = Math.min(now.length, at + old.length - oldAt);
      if (old.compare(now, at, end, oldAt, old.length) < 0) low = middle;
      else high = middle;
    }
    const [first, second] = [order[low] ?? 0, order[high] ?? 0];
    const [firstLength, secondLength] = [lengthAt(first, at), lengthAt(second, at)];
    return firstLength > secondLength
      ? { length: firstLength, at: first }
      : { length: secondLength, at: second };
  };
}
