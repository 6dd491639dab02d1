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
  { tailStart, sizeBytes, worthBytes }: PatchworkOptions,
): Piece<Source>[] {
  const pieces: Piece<Source>[] = [];
  const add = (piece: Piece<Source>) => {
    if (piece.to <= piece.from) return;
    const last = pieces.at(-1);
    if (piece.kind === 'fetch' && last?.kind === 'fetch')
      pieces[pieces.length - 1] = { ...last, to: piece.to };
    else pieces.push(piece);
  };
  let at = 0;
  for (const entry of entries) {
    if (entry.start >= tailStart) break;
    const to = Math.min(entry.end, tailStart);
    const held = heldOf(entry);
    const from = Math.min(held?.from ?? to, to);
    add({ kind: 'fetch', from: at, to: from });
    if (held !== undefined) add({ kind: 'make', from, to, entry, source: held.source });
    at = to;
  }
  add({ kind: 'fetch', from: at, to: tailStart });
  return [
    ...withoutCrumbs(pieces, worthBytes),
    { kind: 'tail', from: tailStart, to: sizeBytes } satisfies Piece<Source>,
  ];
}

function withoutCrumbs<Source>(pieces: readonly Piece<Source>[], worthBytes: number): Piece<Source>[] {
  const kept: Piece<Source>[] = [];
  let run: Piece<Source>[] = [];
  for (const piece of pieces) {
    if (piece.kind !== 'fetch') {
      run.push(piece);
      continue;
    }
    const last = kept.at(-1);
    const runBytes = run.reduce((sum, { from, to }) => sum + to - from, 0);
    if (last?.kind === 'fetch' && runBytes < worthBytes) kept[kept.length - 1] = { ...last, to: piece.to };
    else kept.push(...run, piece);
    run = [];
  }
  return [...kept, ...run];
}
