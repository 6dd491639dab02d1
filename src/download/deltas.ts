/**
 * Patches that a package brings (`pack --delta-from`): which of its entries can be made of a file that is deployed here.
 *
 * They stand before the files, as the entries `deltas/0`, `deltas/1` and so on; the manifest, or the list of files beside it, names
 * them in the line of the file that they make:
 *
 *     {"path":"web/a.js", ..., "deltas":[{"from":"SHA-256 of the old file","entry":"deltas/0"}]}
 *
 * Nothing here is trusted: what a patch makes is judged like all bytes. A line of another form tells nothing, and its
 * file is fetched whole.
 */
import * as v from 'valibot';
import { breathing } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { isForetold } from '../zip/frame.ts';
import type { TailEntry } from '../zip/tail.ts';
import type { Candidates } from './candidates.ts';
import type { Held } from './patchwork.ts';
import type { Source } from './source.ts';
import { SourceError } from './source-error.ts';

/** Up to where a package has its patches, and what says what they are for; undefined: it has none that are of use. */
export async function patchesEnd(
  entries: readonly TailEntry[],
  tailStart: number,
): Promise<number | undefined> {
  let end = 0;
  for await (const entry of breathing(entries))
    if (/^deltas\/\d+$/.test(entry.name)) end = Math.max(end, entry.end);
  return end > 0 && end <= tailStart ? end : undefined;
}

/**
 * What is made by a patch, of entries that are not in `held`. `textOf`: the content of an entry that is here; a SourceError of it is
 * one more reason to fetch.
 */
export async function findPatched(
  files: Files,
  entries: readonly TailEntry[],
  held: ReadonlyMap<TailEntry, unknown>,
  candidates: Candidates,
  textOf: (entry: TailEntry) => AsyncIterable<Uint8Array>,
): Promise<Map<TailEntry, Held<Source>>> {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const patched = new Map<TailEntry, Held<Source>>();
  const bases = await basesNamed(byName, held, textOf);
  if (bases.size === 0) return patched;
  for await (const { path, sizeBytes, sha256 } of candidates.deployed()) {
    const uses = sha256 === undefined ? undefined : bases.get(sha256);
    if (uses === undefined) continue;
    const found = await files.stat(path).catch(() => undefined);
    if (found?.kind !== 'file' || found.sizeBytes !== sizeBytes) continue;
    for (const { entry, patch } of uses) {
      const before = patched.get(entry)?.source;
      if (!isForetold(entry) || (before?.kind === 'patched' && before.patch.packedBytes <= patch.packedBytes))
        continue;
      const source = { kind: 'patched', path, oldBytes: sizeBytes, patch } as const;
      patched.set(entry, { from: entry.start, source });
    }
  }
  return patched;
}

interface Use {
  readonly entry: TailEntry;
  readonly patch: TailEntry;
}

const LineSchema = v.object({
  path: v.optional(v.string()),
  src: v.optional(v.string()),
  deltas: v.array(v.object({ from: v.string(), entry: v.string() })),
});

/** By the SHA-256 of the old file. */
async function basesNamed(
  byName: ReadonlyMap<string, TailEntry>,
  held: ReadonlyMap<TailEntry, unknown>,
  textOf: (entry: TailEntry) => AsyncIterable<Uint8Array>,
): Promise<Map<string, Use[]>> {
  const bases = new Map<string, Use[]>();
  for (const name of ['manifest.json', 'files.json']) {
    const list = byName.get(name);
    if (list === undefined) continue;
    for await (const text of linesOf(textOf(list))) {
      const line = text.includes('"deltas"') ? v.safeParse(LineSchema, parsed(text)) : undefined;
      if (!line?.success) continue;
      const { path, src, deltas } = line.output;
      const entry = byName.get(path ?? src ?? '');
      if (entry === undefined || held.has(entry) || (entry.method !== 0 && entry.method !== 8)) continue;
      for (const { from, entry: patchName } of deltas.slice(0, limits.deltasOfFile)) {
        const patch = byName.get(patchName);
        if (patch !== undefined) bases.set(from, [...(bases.get(from) ?? []), { entry, patch }]);
      }
    }
  }
  return bases;
}

/** One after another; a text that cannot be read, or whose lines are longer than a manifest, ends early. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of chunks) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
      if (rest.length > limits.manifestBytes) return;
    }
    yield rest;
  } catch (thrown) {
    if (!(thrown instanceof SourceError)) throw thrown;
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line.trim().replace(/,$/, ''));
  } catch {
    return undefined;
  }
}
