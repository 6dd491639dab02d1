/**
 * The suffixes of a text in their order, after N. Jesper Larsson and Kunihiko Sadakane ("Faster suffix sorting", 1999), in eight
 * bytes of memory for each of the text. Pure. What waits stands in a list, not on the stack: a text may be made so that every
 * split is uneven.
 */

/** Where each suffix begins, the empty one (at `text.length`) first. */
export function sortedSuffixes(text: Uint8Array): Int32Array {
  const count = text.length + 1;
  const order = new Int32Array(count);
  /** Of each suffix: the last place of the group of those that are equal in their first `depth` bytes. */
  const rank = new Int32Array(count);
  sortByFirstByte(text, order, rank);
  // A group that is in order is marked by minus its length where it begins.
  for (let depth = 1; (order[0] ?? 0) !== -count; depth += depth) {
    let sorted = 0;
    let at = 0;
    while (at < count) {
      const first = order[at] ?? 0;
      if (first < 0) {
        sorted -= first;
        at -= first;
        continue;
      }
      if (sorted > 0) order[at - sorted] = -sorted;
      const length = (rank[first] ?? 0) + 1 - at;
      splitGroup(order, rank, at, length, depth);
      at += length;
      sorted = 0;
    }
    if (sorted > 0) order[at - sorted] = -sorted;
  }
  for (let suffix = 0; suffix < count; suffix++) order[rank[suffix] ?? 0] = suffix;
  return order;
}

function sortByFirstByte(text: Uint8Array, order: Int32Array, rank: Int32Array): void {
  const ends = new Int32Array(256); // of each byte's group: its last place
  for (const byte of text) ends[byte] = (ends[byte] ?? 0) + 1;
  for (let byte = 1; byte < 256; byte++) ends[byte] = (ends[byte] ?? 0) + (ends[byte - 1] ?? 0);
  const next = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) next[byte] = byte === 0 ? 1 : (ends[byte - 1] ?? 0) + 1;
  text.forEach((byte, at) => {
    const place = next[byte] ?? 0;
    order[place] = at;
    next[byte] = place + 1;
    rank[at] = ends[byte] ?? 0;
  });
  order[0] = -1; // the empty suffix is in its place
  rank[text.length] = 0;
  for (let byte = 0; byte < 256; byte++) {
    const before = byte === 0 ? 0 : (ends[byte - 1] ?? 0);
    if ((ends[byte] ?? 0) === before + 1) order[before + 1] = -1;
  }
}

/** Splits a group, whose members are equal in their first `depth` bytes, by the next `depth`. */
function splitGroup(order: Int32Array, rank: Int32Array, from: number, count: number, depth: number): void {
  /** Groups to be split, and (as a negative count) those whose ranks are due: always in threes with what comes first on top. */
  const due: number[] = [from, count];
  while (due.length > 0) {
    const length = due.pop() ?? 0;
    const start = due.pop() ?? 0;
    if (length < 0) setRanks(order, rank, start, -length);
    else if (length < 16) selectionSort(order, rank, start, length, depth);
    else {
      const pivot = rank[(order[start + (length >> 1)] ?? 0) + depth] ?? 0;
      const [equalStart, greaterStart] = partition(order, rank, start, length, depth, pivot);
      if (start + length > greaterStart) due.push(greaterStart, start + length - greaterStart);
      due.push(equalStart, equalStart - greaterStart);
      if (equalStart > start) due.push(start, equalStart - start);
    }
  }
}

function selectionSort(
  order: Int32Array,
  rank: Int32Array,
  start: number,
  length: number,
  depth: number,
): void {
  const end = start + length;
  for (let at = start; at < end; ) {
    let least = rank[(order[at] ?? 0) + depth] ?? 0;
    let equal = 1;
    for (let other = at + 1; other < end; other++) {
      const key = rank[(order[other] ?? 0) + depth] ?? 0;
      if (key < least) {
        least = key;
        equal = 0;
      }
      if (key === least) swap(order, at + equal++, other);
    }
    setRanks(order, rank, at, equal);
    at += equal;
  }
}

/** Less, equal, greater: returns where the second and the third begin. */
function partition(
  order: Int32Array,
  rank: Int32Array,
  start: number,
  length: number,
  depth: number,
  pivot: number,
): readonly [number, number] {
  let less = start;
  let at = start;
  let greater = start + length;
  while (at < greater) {
    const key = rank[(order[at] ?? 0) + depth] ?? 0;
    if (key < pivot) swap(order, less++, at++);
    else if (key > pivot) swap(order, at, --greater);
    else at++;
  }
  return [less, greater];
}

function setRanks(order: Int32Array, rank: Int32Array, start: number, length: number): void {
  const last = start + length - 1;
  for (let at = start; at <= last; at++) rank[order[at] ?? 0] = last;
  if (length === 1) order[start] = -1;
}

function swap(order: Int32Array, a: number, b: number): void {
  const kept = order[a] ?? 0;
  order[a] = order[b] ?? 0;
  order[b] = kept;
}
