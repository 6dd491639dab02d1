/**
 * Lists and maps of plain values (what JSON can hold) that are as long as a package has files, in little memory: windows of values, each
 * deflated. A step of a plan takes some 100 bytes so, not a thousand; only a few windows at a time are objects.
 *
 * A window takes a few tenths of a millisecond to pack or to unpack: who goes through a long list gives way to others
 * in between (host/breathing.ts).
 */
import type * as Zlib from 'node:zlib';
import { giveBack } from './give-back.ts';
import { limits } from './limits.ts';
import { loadTextHash } from './text-digest.ts';

/** What can be gone through, and how many there are: an array, too. */
export interface List<T> extends Iterable<T> {
  readonly length: number;
}

/** Those of `items` that are `wanted`, chosen anew each time that they are gone through. */
export function filtered<T>(items: Iterable<T>, wanted: (item: T) => boolean): Iterable<T> {
  return {
    *[Symbol.iterator]() {
      for (const item of items) if (wanted(item)) yield item;
    },
  };
}

export interface PackedList<T> extends List<T> {
  add(value: T): void;
  /** Undefined beyond the end. Neighbours are cheap, others cost a window. */
  at(index: number): T | undefined;
}

/** By text; what is set once stays. */
export interface PackedMap<T> extends Iterable<readonly [string, T]> {
  readonly size: number;
  /** `key` must not be there yet. */
  set(key: string, value: T): void;
  /** Cheap for a key that was set next to the one before. */
  get(key: string): T | undefined;
  has(key: string): boolean;
}

export interface Packing {
  list<T>(): PackedList<T>;
  map<T>(): PackedMap<T>;
}

export async function loadPacking(): Promise<Packing> {
  const zlib = await import('node:zlib');
  const hashOf = await loadTextHash();
  return { list: () => packedList(zlib), map: () => packedMap(zlib, hashOf) };
}

/** Of the whole process, as its memory is: how many windows were packed or unpacked so far. While that changes, long lists are in use. */
export const windowsUsed = { count: 0 };

type Deflate = Pick<typeof Zlib, 'deflateRawSync' | 'inflateRawSync'>;

const windowValues = limits.packedWindowValues;
/**
 * Quick, and for texts as like as these nearly as small as the best. What zlib leaves behind goes with a full collection only: a buffer of
 * `chunkSize` and more for each window.
 */
const deflating = { level: 1, windowBits: 13, memLevel: 5, chunkSize: 2048 };

interface Window<T> {
  index: number;
  values: readonly T[];
}

interface Packed {
  readonly deflated: Uint8Array;
  /** Of the text. */
  readonly bytes: number;
}

function packedList<T>({ deflateRawSync, inflateRawSync }: Deflate): PackedList<T> {
  const packed: Packed[] = [];
  let last: T[] = [];
  /** Most recently used first. */
  let open: Window<T>[] = [];

  const windowAt = (index: number): readonly T[] => {
    if (index === packed.length) return last;
    if (open[0]?.index === index) return open[0].values;
    const found = packed[index];
    if (found === undefined) return [];
    const known = open.find((window) => window.index === index);
    const window = known ?? { index, values: unpacked(found) };
    open = [window, ...open.filter((other) => other !== window)].slice(0, limits.packedWindowsOpen);
    return window.values;
  };

  const unpacked = ({ deflated, bytes }: Packed): T[] => {
    windowsUsed.count += 1;
    // One byte more than there are: zlib would ask for another piece of memory at the last one.
    const text = inflateRawSync(deflated, {
      chunkSize: Math.max(64, bytes + 1),
      windowBits: deflating.windowBits,
    });
    const values = JSON.parse(text.toString('utf8')) as T[];
    giveBack(text);
    return values;
  };

  return {
    get length() {
      return packed.length * windowValues + last.length;
    },
    add(value) {
      last.push(value);
      if (last.length < windowValues) return;
      windowsUsed.count += 1;
      const text = Buffer.from(JSON.stringify(last));
      // A copy of its own: a slice of Node's pool would keep the whole pool.
      packed.push({ deflated: new Uint8Array(deflateRawSync(text, deflating)), bytes: text.length });
      giveBack(text);
      last = [];
    },
    at: (index) => windowAt(Math.floor(index / windowValues))[index % windowValues],
    *[Symbol.iterator]() {
      for (let index = 0; index <= packed.length; index++) yield* windowAt(index);
    },
  };
}

function packedMap<T>(zlib: Deflate, hashOf: (key: string) => number): PackedMap<T> {
  const pairs = packedList<readonly [string, T]>(zlib);
  /** Open addressing, at most four fifths full: the place of a pair plus one, and the hash of its key. */
  let places = new Uint32Array(64);
  let hashes = new Uint32Array(64);

  const enter = (hash: number, place: number): void => {
    const mask = places.length - 1;
    let slot = hash & mask;
    while (places[slot] !== 0) slot = (slot + 1) & mask;
    places[slot] = place;
    hashes[slot] = hash;
  };
  const grow = (): void => {
    const [oldPlaces, oldHashes] = [places, hashes];
    places = new Uint32Array(2 * oldPlaces.length);
    hashes = new Uint32Array(2 * oldPlaces.length);
    for (let slot = 0; slot < oldPlaces.length; slot++)
      if (oldPlaces[slot] !== 0) enter(oldHashes[slot] ?? 0, oldPlaces[slot] ?? 0);
  };
  /** Where the last one was found: who goes through the keys in their order asks for the next one, or for the same again. */
  let lastPlace = 0;
  const find = (key: string): readonly [string, T] | undefined => {
    for (const near of [lastPlace, lastPlace + 1]) {
      const pair = pairs.at(near);
      if (pair?.[0] !== key) continue;
      lastPlace = near;
      return pair;
    }
    const mask = places.length - 1;
    const hash = hashOf(key);
    for (let slot = hash & mask; places[slot] !== 0; slot = (slot + 1) & mask) {
      if (hashes[slot] !== hash) continue;
      const place = (places[slot] ?? 0) - 1;
      const pair = pairs.at(place);
      if (pair?.[0] !== key) continue;
      lastPlace = place;
      return pair;
    }
    return undefined;
  };

  return {
    get size() {
      return pairs.length;
    },
    set(key, value) {
      if (5 * pairs.length >= 4 * places.length) grow();
      pairs.add([key, value]);
      enter(hashOf(key), pairs.length);
    },
    get: (key) => find(key)?.[1],
    has: (key) => find(key) !== undefined,
    [Symbol.iterator]: () => pairs[Symbol.iterator](),
  };
}
