/**
 * An adaptive download: which of a package's bytes are fetched, and which are made of what the device has.
 *
 * The partial file is filled in order as ever; only the origin of the next bytes differs. So a resume, the digests and the verification
 * know nothing of it, and the digest of the whole package stays the judge. Whatever is not understood means: all from the store.
 * Source: spec section 13.
 */
import { breathing, breathingThrough } from '../host/breathing.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type TailEntry, tailReading } from '../zip/tail.ts';
import type { Candidates } from './candidates.ts';
import { findPatched, patchesEnd } from './deltas.ts';
import { findHeld, kindOf } from './holdings.ts';
import { type Held, type Piece, patchingTogether } from './patchwork.ts';
import { createProbe, type Probe } from './probe.ts';
import { createRates } from './rates.ts';
import { createMaker, type Maker, type ReadPart } from './recreate.ts';
import type { PackageRequest } from './request.ts';
import type { Source } from './source.ts';
import { loadTail, saveTail, tailName } from './tail-file.ts';

export type Step =
  /** All that is left, as without any of this. */
  | { readonly kind: 'whole' }
  /** The end of the package is wanted: gotTail() takes it. */
  | { readonly kind: 'tail'; readonly from: number; readonly to: number }
  | { readonly kind: 'fetch'; readonly to: number }
  /** The bytes from here to `to`, after the first `skip`; where they fail with a SourceError, giveUp() is to be called. */
  | {
      readonly kind: 'make';
      readonly from: number;
      readonly to: number;
      readonly skip: number;
      /** They came with the end of the package. */
      readonly isFetched: boolean;
      readonly chunks: AsyncIterable<Uint8Array>;
    };

export interface Adaptive {
  readonly isOn: boolean;
  /** What is known of the package takes the room that a thread for its digest would need. */
  readonly isLarge: boolean;
  /** What comes next, where the partial file has so many bytes. */
  next(position: number): Promise<Step>;
  gotTail(tail: Buffer): Promise<void>;
  /** What was made at `position` was not right: that entry is fetched. */
  giveUp(position: number, why: string): Promise<void>;
  /** From now on all is fetched. */
  turnOff(why: string): Promise<void>;
  /** The same at once, as it got stuck: nothing of it is touched. */
  leaveBehind(): void;
  /** So many bytes of an answer came, in so long. */
  received(bytes: number, ms: number): void;
  /** What is made from `position` on has shown that it comes faster over the network, and there is enough left of it. */
  isFetchedFaster(position: number): boolean;
  /** The download has ended well, or begins anew. */
  forget(): Promise<void>;
}

export interface AdaptiveOptions {
  readonly directory: string;
  readonly candidates?: Candidates | undefined;
  /** Bandwidth limit, bytes per second. */
  readonly bytesPerSecond?: number | undefined;
  readonly readPart: ReadPart;
}

export function createAdaptive(
  host: Pick<Host, 'files' | 'memory' | 'log' | 'clock'>,
  request: PackageRequest,
  { directory, candidates, bytesPerSecond, readPart }: AdaptiveOptions,
): Adaptive {
  const { files, log } = host;
  const sizeBytes = request.package_size;
  const tailPath = `${directory}/${tailName(request)}`;
  let isOn = candidates !== undefined && sizeBytes >= limits.adaptiveLeastBytes;
  let tail: Buffer | undefined;
  /** A directory that takes more is not worth its memory, or leaves little to be gained. */
  const mostTailBytes = Math.min(limits.tailMostBytes, sizeBytes / 2);
  let isTailLooked = false;
  let plan: Plan | undefined;
  const rates = createRates(bytesPerSecond);
  /** Since the last collection. */
  let madeSinceBytes = 0;

  interface Plan {
    readonly entries: readonly TailEntry[];
    readonly tailStart: number;
    readonly held: Map<TailEntry, Held<Source>>;
    pieces: readonly Piece<Source>[];
    readonly maker: Maker;
    readonly probe: Probe;
    /** Up to where patches stand that have not been looked at yet. */
    patchesTo: number | undefined;
    hasLookedBack: boolean;
  }

  const self: Adaptive = {
    get isOn() {
      return isOn;
    },
    get isLarge() {
      return (plan?.entries.length ?? 0) > limits.threadlessEntries;
    },
    async next(position) {
      while (isOn) {
        if (tail === undefined && !isTailLooked) {
          isTailLooked = true;
          tail = await loadTail(files, tailPath, request);
        }
        if (tail === undefined) return { kind: 'tail', from: sizeBytes - limits.tailBytes, to: sizeBytes };
        if (plan === undefined) {
          const told = await breathingThrough(tailReading(tail, sizeBytes, limits.archiveEntries));
          if (told.kind === 'need' && sizeBytes - told.from <= mostTailBytes)
            return { kind: 'tail', from: told.from, to: sizeBytes - tail.length };
          if (told.kind !== 'entries') {
            await self.turnOff(told.kind === 'fault' ? told.why : 'a directory of too many bytes');
            break;
          }
          plan = await makePlan(told.entries, sizeBytes - tail.length);
        }
        if (plan.patchesTo !== undefined && position >= plan.patchesTo)
          await addPatched(plan, plan.patchesTo);
        await lookBack(plan, position);
        const verdict = await plan.probe.look(position, readPart);
        if (verdict !== undefined) {
          for await (const [entry, held] of breathing(plan.held))
            if (kindOf(entry, held) === verdict) plan.held.delete(entry);
          log.info(`download: the device does not make what the packer made (${verdict}): those are fetched`);
          await arrange(plan);
        }
        const step = stepAt(plan, position);
        if (step !== undefined) return roomFor(step);
      }
      return { kind: 'whole' };
    },
    async gotTail(bytes) {
      tail = tail === undefined ? bytes : Buffer.concat([bytes, tail]);
      await saveTail(files, tailPath, request, tail);
    },
    async giveUp(position, why) {
      const piece = plan?.pieces[indexAt(plan.pieces, position)];
      if (plan === undefined || piece?.kind !== 'make') return;
      log.warn(`download: ${piece.entry.name} ${why}: it is fetched`);
      plan.held.delete(piece.entry);
      await arrange(plan);
    },
    async turnOff(why) {
      if (!isOn) return;
      log.info(`download: all is fetched: ${why}`);
      await self.forget();
    },
    leaveBehind() {
      isOn = false;
    },
    received: rates.received,
    isFetchedFaster(position) {
      const piece = plan?.pieces[indexAt(plan.pieces, position)];
      return piece?.kind === 'make' && piece.to - position >= limits.resumeWorthBytes && isSlow(piece);
    },
    async forget() {
      if (candidates === undefined) return;
      isOn = false;
      tail = undefined;
      plan = undefined;
      if (await files.stat(tailPath)) await files.remove(tailPath);
    },
  };
  return self;

  /** What making leaves goes before a request begins: its handshake takes the most at once. */
  function roomFor(step: Step): Step {
    if (step.kind === 'make') madeSinceBytes += step.to - step.from;
    else if (madeSinceBytes >= limits.madeGarbageBytes) {
      madeSinceBytes = 0;
      host.memory.collect();
    }
    return step;
  }

  async function makePlan(entries: readonly TailEntry[], tailStart: number): Promise<Plan> {
    const held = candidates === undefined ? new Map() : await findHeld(files, entries, candidates);
    const maker = await createMaker(host, readPart, rates);
    const patchesTo = await patchesEnd(entries, tailStart);
    const made: Plan = {
      entries,
      tailStart,
      held,
      pieces: [],
      maker,
      probe: createProbe(maker),
      patchesTo,
      hasLookedBack: false,
    };
    await arrange(made);
    log.info(`download: ${madeBytes(made)} of ${sizeBytes} bytes are here already`);
    return made;
  }

  async function addPatched(to: Plan, end: number): Promise<void> {
    to.patchesTo = undefined;
    if (candidates === undefined) return;
    await readPart(end - 1, 1); // from here on all of them are on the disk
    const patched = await findPatched(files, to.entries, to.held, candidates, to.maker.unpacked);
    for (const [entry, held] of patched) to.held.set(entry, held);
    const before = madeBytes(to);
    await arrange(to);
    log.info(
      `download: ${patched.size} patches fit, ${madeBytes(to) - before} bytes more need not be fetched`,
    );
  }

  /** What an earlier run brought shows what the device makes. */
  async function lookBack(on: Plan, position: number): Promise<void> {
    if (on.hasLookedBack) return;
    on.hasLookedBack = true;
    for await (const piece of breathing(on.pieces))
      if (piece.kind === 'make' && piece.to <= position) await on.probe.recall(piece, readPart);
  }

  function madeBytes({ pieces }: Plan): number {
    return pieces.reduce((sum, { kind, from, to }) => sum + (kind === 'make' ? to - from : 0), 0);
  }

  async function arrange(of: Plan): Promise<void> {
    const options = { tailStart: of.tailStart, sizeBytes, worthBytes: limits.requestWorthBytes };
    of.pieces = await breathingThrough(patchingTogether(of.entries, (entry) => of.held.get(entry), options));
  }

  /** Undefined where a probe has its bytes already, from an earlier run, and has to look first. */
  function stepAt(of: Plan, position: number): Step | undefined {
    const index = indexAt(of.pieces, position);
    const piece = of.pieces[index];
    if (piece === undefined) return { kind: 'whole' };
    if (piece.kind === 'tail')
      return { ...piece, kind: 'make', skip: position - piece.from, isFetched: true, chunks: once(tail) };
    const to = fetchedTo(of, index, position);
    if (to > position) return { kind: 'fetch', to };
    if (piece.kind !== 'make') return { kind: 'whole' };
    const level = of.probe.levelOf(piece);
    if (level === undefined) return undefined;
    const chunks = of.maker.make(piece.entry, piece.source, level);
    return { ...piece, skip: position - piece.from, isFetched: false, chunks };
  }

  /** Up to where one request goes: over all that is missing, that has to show itself first, or that comes faster than it is made. */
  function fetchedTo(of: Plan, first: number, position: number): number {
    let to = position;
    for (let index = first; index < of.pieces.length; index++) {
      const piece = of.pieces[index];
      if (piece === undefined || piece.from > to) break;
      if (to >= (of.patchesTo ?? sizeBytes)) break;
      if (piece.kind === 'fetch') to = piece.to;
      else if (piece.kind === 'tail') break;
      else if (isSlow(piece)) to = piece.to;
      else {
        const probed = of.probe.ask(piece);
        if (probed === undefined) break;
        to = Math.max(to, Math.min(probed, piece.to));
        if (to < piece.to) break;
      }
    }
    return Math.min(to, of.patchesTo ?? sizeBytes);
  }

  function isSlow({ entry, source }: Extract<Piece<Source>, { kind: 'make' }>): boolean {
    const isCopied = source.kind === 'packed' || (source.kind === 'file' && entry.method === 0);
    return !isCopied && rates.isFetchedFaster(source.kind);
  }
}

/** Of the piece that holds a position: they cover the package in order, and may be tens of thousands. */
function indexAt(pieces: readonly Piece<Source>[], position: number): number {
  let [low, high] = [0, pieces.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (position < (pieces[middle]?.to ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}

async function* once(bytes: Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  if (bytes !== undefined) yield bytes;
}
