/**
 * The images a block device could hold after a power cut: at any recorded write, all flushed writes plus some of those
 * that were not flushed yet: all in order, or some dropped, or late ones before early ones, or torn at 4 KiB.
 *
 * Invariant: what a flush had covered is in every later image.
 */

import type { DiskEvent } from './fuse-disk.ts';
import { seededRandom } from './seeded.ts';

export interface DiskCut {
  /** The same buffer each time; valid until the next cut is asked for. */
  readonly image: Buffer;
  /** What the outside world had seen. */
  readonly marks: readonly string[];
  /** Which writes are in it, in words. */
  readonly what: string;
}

type Kind = 'prefix' | 'dropped' | 'reordered' | 'torn';
type Write = Extract<DiskEvent, { kind: 'write' }>;

const pieceBytes = 4096;

/**
 * Makes about `wanted` images (fewer where so many do not exist) and the base itself, drawn from the whole recording: half of
 * them prefixes. `even`: exactly so many, at writes that are equally far from each other, the first and the last from the event `from`
 * on among them, and no base. The same seed gives the same images.
 */
export function* diskCuts(
  base: Buffer,
  events: readonly DiskEvent[],
  wanted: number,
  seed: number,
  spread: 'drawn' | { readonly even: true; readonly from: number } = 'drawn',
): Generator<DiskCut> {
  const random = seededRandom(seed);
  const plan =
    spread === 'drawn' ? planCuts(events, wanted, random) : planEvenly(events, wanted, spread.from);
  const flushed = Buffer.from(base);
  const issued = Buffer.from(base);
  const image = Buffer.alloc(base.length);
  const marks: string[] = [];
  const seen = new Set<string>();
  let pending: Write[] = [];

  base.copy(image);
  if (spread === 'drawn') yield { image, marks: [], what: 'nothing written' };
  for (const [at, event] of events.entries()) {
    if (event.kind === 'mark') marks.push(event.name);
    else if (event.kind === 'flush') {
      for (const write of pending) write.bytes.copy(flushed, write.offset);
      pending = [];
    } else {
      event.bytes.copy(issued, event.offset);
      pending.push(event);
    }
    for (const kind of plan[at] ?? []) {
      if (kind === 'prefix') {
        issued.copy(image);
        yield { image, marks: [...marks], what: `${kind} of ${at + 1} events` };
        if (spread !== 'drawn') break;
        continue;
      }
      const kept = choosePieces(kind, pending, random);
      const name = kept.map((list) => list.map(Number).join('')).join(' ');
      if (!name.includes('0') || seen.has(`${at} ${name}`)) continue;
      seen.add(`${at} ${name}`);
      flushed.copy(image);
      for (const [index, write] of pending.entries()) applyPieces(image, write, kept[index] ?? []);
      yield { image, marks: [...marks], what: `${kind} at event ${at + 1}: ${name}` };
      if (spread !== 'drawn') break;
    }
  }
}

/**
 * Which kinds of images to make after each event: half of them prefixes, the others where more than one piece was
 * unflushed and so something could be left out. A seeded choice, so that a short run, too, looks at all kinds and times.
 */
function planCuts(events: readonly DiskEvent[], wanted: number, random: () => number): Kind[][] {
  const plan: Kind[][] = events.map(() => []);
  const points = unflushedPieces(events);
  const prefixes = shuffled(
    points.map(({ at }) => ({ at, kind: 'prefix' as Kind })),
    random,
  );
  // Each try draws other pieces, and what comes twice is left out: a short recording takes more tries.
  const tries = Math.max(6, Math.ceil((2 * wanted) / Math.max(1, points.length)));
  const others = shuffled(
    points
      .filter(({ pieces }) => pieces > 1)
      .flatMap(({ at }) => Array.from({ length: tries }, (_, index) => ({ at, kind: partialKind(index) }))),
    random,
  );
  const fromOthers = Math.min(others.length, Math.max(Math.floor(wanted / 2), wanted - prefixes.length));
  for (const { at, kind } of [...prefixes.slice(0, wanted - fromOthers), ...others.slice(0, fromOthers)])
    plan[at]?.push(kind);
  return plan;
}

/** Of each point the first of its kinds that leaves something out; where none does, the prefix. */
function planEvenly(events: readonly DiskEvent[], wanted: number, from: number): Kind[][] {
  const plan: Kind[][] = events.map(() => []);
  const points = unflushedPieces(events).filter(({ at }) => at >= from && events[at]?.kind === 'write');
  for (let index = 0; index < wanted; index++) {
    const point = points[Math.round((index * (points.length - 1)) / Math.max(1, wanted - 1))];
    if (point === undefined) continue;
    const tries: Kind[] = Array.from({ length: 4 }, (_, next) => partialKind(index + next));
    const isPrefix = index % 2 === 0 || index === wanted - 1 || point.pieces < 2;
    plan[point.at] = isPrefix ? ['prefix'] : [...tries, 'prefix'];
  }
  return plan;
}

/** Tearing has the most to choose from. */
function partialKind(index: number): Exclude<Kind, 'prefix'> {
  return (['dropped', 'torn', 'reordered', 'torn'] as const)[index % 4] ?? 'torn';
}

function unflushedPieces(events: readonly DiskEvent[]): { readonly at: number; readonly pieces: number }[] {
  let pieces = 0;
  return events.flatMap((event, at) => {
    if (event.kind === 'flush') pieces = 0;
    if (event.kind === 'write') pieces += Math.ceil(event.bytes.length / pieceBytes);
    return event.kind === 'flush' ? [] : [{ at, pieces }];
  });
}

function shuffled<T>(all: readonly T[], random: () => number): T[] {
  const keyed = all.map((each) => ({ each, order: random() })).sort((a, b) => a.order - b.order);
  return keyed.map(({ each }) => each);
}

/** For each pending write which of its 4 KiB pieces reached the disk. */
function choosePieces(
  kind: Exclude<Kind, 'prefix'>,
  pending: readonly Write[],
  random: () => number,
): boolean[][] {
  const density = [0.1, 0.5, 0.9][Math.floor(random() * 3)] ?? 0.5;
  const from = Math.floor(random() * pending.length);
  return pending.map((write, index) => {
    const pieces = Array.from({ length: Math.ceil(write.bytes.length / pieceBytes) });
    if (kind === 'torn') return pieces.map(() => random() < density);
    const whole = kind === 'dropped' ? random() < density : index >= from;
    return pieces.map(() => whole);
  });
}

function applyPieces(image: Buffer, write: Write, kept: readonly boolean[]): void {
  for (const [piece, keep] of kept.entries()) {
    if (!keep) continue;
    const start = piece * pieceBytes;
    write.bytes.copy(image, write.offset + start, start, Math.min(start + pieceBytes, write.bytes.length));
  }
}
