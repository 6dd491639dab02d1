/**
 * Does the device make the bytes that the packer made? Nobody knows before it was tried: of each kind of entry the first is fetched, as
 * far as needed, and compared with what would have been made. Its bytes are needed anyway, so nothing is fetched for the probe alone.
 */
import { limits } from '../limits.ts';
import { foretold } from '../zip/frame.ts';
import { kindOf } from './holdings.ts';
import type { Piece } from './patchwork.ts';
import type { Maker, ReadPart } from './recreate.ts';
import { isFramed, type Source } from './source.ts';
import { SourceError } from './source-error.ts';

type Made = Extract<Piece<Source>, { kind: 'make' }>;

export interface Probe {
  /** Up to where a piece has to be fetched first; undefined where its kind has shown itself. */
  ask(piece: Made): number | undefined;
  /** Compares what has been fetched for it since: the kind that failed. */
  look(position: number, readPart: ReadPart): Promise<string | undefined>;
  levelOf(piece: Made): number | undefined;
  /**
   * Lets an entry that an earlier run has brought show its kind, so that nothing is fetched for that again. Where it does not, that
   * says nothing: its file may have changed since.
   */
  recall(piece: Made, readPart: ReadPart): Promise<void>;
}

/** What packers use: yazl and most others 6, the fastest and the smallest of some. */
const levels = [6, 1, 9] as const;

export function createProbe(maker: Maker): Probe {
  const shown = new Map<string, number>();
  const asked = new Map<string, { readonly piece: Made; readonly to: number }[]>();
  const recalled = new Map<string, number>();
  const kind = ({ entry, from, source }: Made) => kindOf(entry, { from, source });
  return {
    levelOf: (piece) => shown.get(kind(piece)),
    recall,
    ask(piece) {
      const name = kind(piece);
      if (shown.has(name)) return undefined;
      const to = probeEnd(piece);
      if (to <= piece.from) {
        shown.set(name, 6);
        return undefined;
      }
      const before = asked.get(name) ?? [];
      // One that is large enough decides; small ones before it are fetched, and show nothing.
      if (before.some(({ piece: first }) => first !== piece && isTelling(first))) return piece.from;
      if (!before.some(({ piece: first }) => first.from === piece.from))
        asked.set(name, [...before, { piece, to }]);
      return to;
    },
    async look(position, readPart) {
      for (const [name, probes] of asked) {
        const due = probes.filter(({ to }) => to <= position);
        if (due.length === 0) continue;
        asked.set(
          name,
          probes.filter(({ to }) => to > position),
        );
        for (const { piece, to } of due) {
          const level = await levelThatFits(piece, await readPart(piece.from, to - piece.from));
          if (level === undefined) return name;
          if (isTelling(piece)) shown.set(name, level);
        }
      }
      return undefined;
    },
  };

  async function recall(piece: Made, readPart: ReadPart): Promise<void> {
    const name = kind(piece);
    const times = recalled.get(name) ?? 0;
    const to = probeEnd(piece);
    if (shown.has(name) || times >= limits.probeRecalls || !isTelling(piece) || to <= piece.from) return;
    recalled.set(name, times + 1);
    const level = await levelThatFits(piece, await readPart(piece.from, to - piece.from));
    if (level !== undefined) shown.set(name, level);
  }

  async function levelThatFits(piece: Made, fetched: Buffer): Promise<number | undefined> {
    const isDeflated = piece.source.kind !== 'packed' && piece.entry.method !== 0;
    for (const level of isDeflated ? levels : [6]) if (await fits(piece, fetched, level)) return level;
    return undefined;
  }

  async function fits({ entry, source }: Made, fetched: Buffer, level: number): Promise<boolean> {
    let at = 0;
    try {
      for await (const chunk of maker.make(entry, source, level)) {
        const part = fetched.subarray(at, at + chunk.length);
        if (!part.equals(chunk.subarray(0, part.length))) return false;
        at += part.length;
        if (at >= fetched.length) return true;
      }
      return at >= fetched.length;
    } catch (thrown) {
      // A file that has changed says nothing of the packer; it is noticed once more where it is made.
      if (thrown instanceof SourceError) return false;
      throw thrown;
    }
  }
}

/** Stored data is what it is: only the header is in doubt. */
function probeEnd({ from, to, entry, source }: Made): number {
  if (source.kind !== 'packed' && entry.method === 0) return from + (foretold(entry)?.head.length ?? 0);
  if (!isFramed(source) && entry.method === 0) return from;
  return Math.min(to, from + limits.probeBytes);
}

function isTelling({ entry }: Made): boolean {
  return entry.method === 0 || entry.packedBytes >= limits.probeLeastBytes;
}
