/**
 * Lists and maps of plain values (what JSON can hold) that are as long as a package has files, in little memory: windows of values, each
 * deflated. A step of a plan takes some 100 bytes so, not a thousand; only a few windows at a time are objects.
 *
 * A window takes a few tenths of a millisecond to pack or to unpack: who goes through a long list gives way to others
 * in between (host/breathing.ts).
 */
import { giveBack } from './give-back.ts';
import { limits } from './limits.ts';
import { type Deflate, packedTexts } from './packed-texts.ts';
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

const windowValues = limits.packedWindowValues;

interface Window<T> {
  index: number;
  values: readonly T[];
}

function packedList<T>(zlib: Deflate): PackedList<T> {
  const windows = packedTexts(zlib);
  let last: T[] = [];
  /** Most recently used first. */
  let open: Window<T>[] = [];

  const windowAt = (index: number): readonly T[] => {
    if (index === windows.count) return last;
    if (open[0]?.index === index) return open[0].values;
    const known = open.find((window) => window.index === index);
    const values = known?.values ?? unpacked(index);
    if (values === undefined) return [];
    open = [{ index, values }, ...open.filter((other) => other !== known)].slice(0, limits.packedWindowsOpen);
    return values;
  };

  const unpacked = (index: number): T[] | undefined => {
    const text = windows.at(index);
    if (text === undefined) return undefined;
    const values = JSON.parse(text.toString('utf8')) as T[];
    giveBack(text);
    return values;
  };

  return {
    get length() {
      return windows.count * windowValues + last.length;
    },
    add(value) {
      last.push(value);
      if (last.length < windowValues) return;
      windows.add(Buffer.from(JSON.stringify(last)));
      last = [];
    },
    at: (index) => windowAt(Math.floor(index / windowValues))[index % windowValues],
    *[Symbol.iterator]() {
      for (let index = 0; index <= windows.count; index++) yield* windowAt(index);
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
