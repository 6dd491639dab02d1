/**
 * Which entries of a package the device can make by itself: deployed files with the same size and CRC-32, entries of the
 * kept package with the same coding, too.
 */
import { errno } from '../errors.ts';
import { breathing, breathingThrough } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { loadPacking, type PackedList } from '../packed-list.ts';
import { classOf, hasDescriptor, isForetold } from '../zip/frame.ts';
import { type TailEntry, tailReading } from '../zip/tail.ts';
import type { Candidates, DeployedCandidate } from './candidates.ts';
import type { Held } from './patchwork.ts';
import { isFramed, type Source } from './source.ts';

/** Adds nothing for what cannot be read; rejects only with bugs. */
export async function findHeld(
  files: Files,
  entries: readonly TailEntry[],
  candidates: Candidates,
): Promise<Map<TailEntry, Held<Source>>> {
  const held = new Map<TailEntry, Held<Source>>();
  if (candidates.keptPackage !== undefined) await addKept(files, entries, candidates.keptPackage, held);
  await addDeployed(files, entries, candidates, held);
  return held;
}

/** Made in the same way: what one of them shows is true of all. */
export function kindOf(entry: TailEntry, { source }: Held<Source>): string {
  const origin = source.kind === 'packed' ? 'packed' : 'made';
  return `${origin}/${isFramed(source) ? 'header made' : 'header fetched'}/${classOf(entry)}`;
}

async function addDeployed(
  files: Files,
  entries: readonly TailEntry[],
  candidates: Candidates,
  held: Map<TailEntry, Held<Source>>,
): Promise<void> {
  /** By CRC-32: nearly always one. */
  const wanted = new Map<number, TailEntry | TailEntry[]>();
  for await (const entry of breathing(entries)) {
    if (entry.sizeBytes === 0 || held.has(entry) || (entry.method !== 0 && entry.method !== 8)) continue;
    const before = wanted.get(entry.crc32);
    wanted.set(entry.crc32, before === undefined ? entry : [before, entry].flat());
  }
  const deployed = (await loadPacking()).list<string>();
  let group: DeployedCandidate[] = [];
  const look = async (): Promise<void> => {
    const paths = group.map(({ path }) => path);
    const each = () => Promise.all(paths.map((path) => files.stat(path).catch(() => undefined)));
    // One that cannot be looked at says nothing of the others.
    const stats = await files.statMany(paths).catch(each);
    for (const [at, { path, sizeBytes, crc32 }] of group.entries()) {
      const found = stats[at];
      if (found?.kind !== 'file' || found.sizeBytes !== sizeBytes) continue;
      const index = deployed.length;
      deployed.add(path);
      for (const entry of [wanted.get(crc32) ?? []].flat())
        if (entry.sizeBytes === sizeBytes && !held.has(entry) && isForetold(entry))
          held.set(entry, new DeployedSource(entry, deployed, index));
    }
    group = [];
  };
  for await (const candidate of candidates.deployed()) {
    const all = wanted.get(candidate.crc32);
    if (all === undefined || [all].flat().every(({ sizeBytes }) => sizeBytes !== candidate.sizeBytes))
      continue;
    group.push(candidate);
    if (group.length === limits.statsInFlight) await look();
  }
  await look();
}

/** A deployed file that holds the content of an entry: one of thousands, whose paths stay packed. */
class DeployedSource implements Held<Source> {
  readonly #entry: TailEntry;
  readonly #paths: PackedList<string>;
  readonly #index: number;

  constructor(entry: TailEntry, paths: PackedList<string>, index: number) {
    this.#entry = entry;
    this.#paths = paths;
    this.#index = index;
  }

  get kind(): 'file' {
    return 'file';
  }
  get path(): string {
    return this.#paths.at(this.#index) ?? '';
  }
  get from(): number {
    return this.#entry.start;
  }
  get source(): DeployedSource {
    return this;
  }
}

async function addKept(
  files: Files,
  entries: readonly TailEntry[],
  path: string,
  held: Map<TailEntry, Held<Source>>,
): Promise<void> {
  try {
    const file = await files.open(path, 'read');
    try {
      const { sizeBytes } = await file.stat();
      const readAt = async (position: number, length: number) => {
        const bytes = Buffer.alloc(length);
        for (let done = 0; done < length; ) {
          const got = await file.read(bytes, done, length - done, position + done);
          if (got === 0) break;
          done += got;
        }
        return bytes;
      };
      const read = async (from: number) => {
        const end = await readAt(from, sizeBytes - from);
        return breathingThrough(tailReading(end, sizeBytes, limits.archiveEntries));
      };
      const start = Math.max(0, sizeBytes - limits.tailBytes);
      let tail = await read(start);
      if (tail.kind === 'need' && sizeBytes - tail.from <= limits.tailMostBytes) {
        tail = await read(tail.from);
      }
      if (tail.kind !== 'entries') return;
      const key = (e: TailEntry) => `${e.method} ${e.crc32} ${e.sizeBytes} ${e.packedBytes}`;
      const kept = new Map(tail.entries.map((entry) => [key(entry), entry]));
      for await (const entry of breathing(entries)) {
        const twin = entry.packedBytes === 0 ? undefined : kept.get(key(entry));
        if (twin === undefined) continue;
        const isFramed = isForetold(entry);
        if (!isFramed && hasDescriptor(entry)) continue;
        const header = await readAt(twin.start, 30);
        const position = twin.start + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
        const from = isFramed ? entry.start : entry.end - entry.packedBytes;
        held.set(entry, { from, source: { kind: 'packed', path, position, isFramed } });
      }
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown; // else it is not kept, or cannot be read
  }
}
