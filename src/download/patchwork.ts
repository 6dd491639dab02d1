/** Which bytes of a package come from where, in order: entries and what the device holds of them become pieces. Pure. */
import type { TailEntry } from '../zip/tail.ts';

/** Where the bytes of an entry can be had on the device. */
export interface Held<Source> {
  readonly source: Source;
  /** The first byte that can be made: the entry's first where its header is foretold, else that of its data. */
  readonly from: number;
}

export type Piece<Source> =
  | { readonly kind: 'fetch'; readonly from: number; readonly to: number }
  | { readonly kind: 'tail'; readonly from: number; readonly to: number }
  | {
      readonly kind: 'make';
      readonly from: number;
      readonly to: number;
      readonly entry: TailEntry;
      readonly source: Source;
    };

export interface PatchworkOptions {
  /** From here on the bytes are at hand. */
  readonly tailStart: number;
  readonly sizeBytes: number;
  /** A run of held bytes shorter than this between two others is fetched: a request costs as much. */
  readonly worthBytes: number;
}

/** Pieces that cover [0, sizeBytes) once and in order. `entries` in the order of the file; `heldOf`: undefined for what is not here. */
export function patchwork<Source>(
  entries: readonly TailEntry[],
  heldOf: (entry: TailEntry) => Held<Source> | undefined,
  options: PatchworkOptions,
): Piece<Source>[] {
  const patching = patchingTogether(entries, heldOf, options);
  for (;;) {
    const { done, value } = patching.next();
    if (done === true) return value;
  }
}

/** The same a part at a time: tens of thousands of entries take a tenth of a second and more. */
export function* patchingTogether<Source>(
  entries: readonly TailEntry[],
  heldOf: (entry: TailEntry) => Held<Source> | undefined,
  { tailStart, sizeBytes, worthBytes }: PatchworkOptions,
): Generator<undefined, Piece<Source>[]> {
  const pieces: Piece<Source>[] = [];
  const add = (piece: Piece<Source>) => {
    if (piece.to <= piece.from) return;
    const last = pieces.at(-1);
    if (piece.kind === 'fetch' && last?.kind === 'fetch')
      pieces[pieces.length - 1] = { ...last, to: piece.to };
    else pieces.push(piece);
  };
  let at = 0;
  for (const [n, entry] of entries.entries()) {
    if (n % entriesPerPart === 0) yield;
    if (entry.start >= tailStart) break;
    const to = Math.min(entry.end, tailStart);
    const held = heldOf(entry);
    const from = Math.min(held?.from ?? to, to);
    add({ kind: 'fetch', from: at, to: from });
    if (held !== undefined) add({ kind: 'make', from, to, entry, source: held.source });
    at = to;
  }
  add({ kind: 'fetch', from: at, to: tailStart });
  const kept = yield* withoutCrumbs(pieces, worthBytes);
  kept.push({ kind: 'tail', from: tailStart, to: sizeBytes });
  return kept;
}

const entriesPerPart = 64;

function* withoutCrumbs<Source>(
  pieces: readonly Piece<Source>[],
  worthBytes: number,
): Generator<undefined, Piece<Source>[]> {
  const kept: Piece<Source>[] = [];
  let run: Piece<Source>[] = [];
  for (const [n, piece] of pieces.entries()) {
    if (n % entriesPerPart === 0) yield;
    if (piece.kind !== 'fetch') {
      run.push(piece);
      continue;
    }
    const last = kept.at(-1);
    const runBytes = run.reduce((sum, { from, to }) => sum + to - from, 0);
    if (last?.kind === 'fetch' && runBytes < worthBytes) kept[kept.length - 1] = { ...last, to: piece.to };
    else {
      for (const each of run) kept.push(each);
      kept.push(piece);
    }
    run = [];
  }
  for (const each of run) kept.push(each);
  return kept;
}
