/**
 * Small entries of an extraction: decoded and passed on many at a time, as each by itself costs more than its bytes.
 *
 * Memory: the contents of limits.entryGroups groups, each of limits.entriesTogetherBytes and one entry at most, and those of one that is
 * decoded meanwhile.
 */
import { inFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { type DecoderParts, decodeTogether, type StoredEntry } from './entry-decoder.ts';
import type { ArchiveEntry } from './entry-policy.ts';
import type { Extraction } from './extraction.ts';

/** A small entry and its whole content. */
export interface WholeEntry {
  readonly entry: ArchiveEntry;
  readonly content: Uint8Array;
}

export interface SmallEntries {
  /** True where there are enough to be passed. `item.stored` must stay until they are. */
  add(item: StoredEntry): boolean;
  /** Waits only where too many are under way. Rejects with the first error of any. */
  pass(): Promise<void>;
  /** Nothing is under way any more. Rejects with the first error of any. */
  idle(): Promise<void>;
}

/** Of which the whole content is held. */
export function isSmall({ sizeBytes, compressedBytes }: ArchiveEntry): boolean {
  return sizeBytes <= limits.wholeFileBytes && compressedBytes <= limits.wholeFileBytes;
}

/** Gathers small entries, to decode many at a time. */
export function smallEntries(
  parts: DecoderParts,
  { open, takeMany }: Pick<Extraction, 'open' | 'takeMany'>,
): SmallEntries {
  const underWay = inFlight(limits.entryGroups);
  let group: StoredEntry[] = [];
  let bytes = 0;
  const each = async (entries: readonly WholeEntry[]): Promise<void> => {
    for (const { entry, content } of entries) {
      const sink = await open(entry);
      if (content.length > 0) await sink.write(content);
      await sink.end();
    }
  };
  return {
    add(item) {
      group.push(item);
      bytes += item.entry.sizeBytes;
      return group.length >= limits.entriesTogether || bytes >= limits.entriesTogetherBytes;
    },
    async pass() {
      if (group.length === 0) return;
      const passing = group;
      [group, bytes] = [[], 0];
      const { contents, release } = decodeTogether(passing, parts);
      const entries = passing.map(({ entry, stored }, index): WholeEntry => {
        const content = contents[index] ?? stored;
        // What is stored lies in the buffer of the next read.
        return {
          entry,
          content: entry.isDeflated || takeMany === undefined ? content : new Uint8Array(content),
        };
      });
      if (takeMany === undefined) return each(entries).finally(release);
      await underWay.add(() => takeMany(entries).finally(release));
    },
    idle: underWay.idle,
  };
}
