/**
 * Patches for a package: of each file that an older package deploys to the same place. One is shipped only where it has less
 * than half of the packed bytes of the file, and the device's own decoder made that file of it. The same inputs give the same
 * patches.
 */
import type * as Zlib from 'node:zlib';
import { bspatch } from '../download/bspatch.ts';
import { UpdateError } from '../errors.ts';
import { readWhole } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Archive, openArchive } from '../package/archive.ts';
import { entryNamed } from '../package/extraction.ts';
import type { CompleteManifest } from '../package/listed-files.ts';
import { withoutSlash } from '../package/manifest-fields.ts';
import { lookedAt, readRelease } from '../package/read-release.ts';
import { anySelf } from '../package/self-module.ts';
import type { TargetRules } from '../package/targets.ts';
import { bsdiff } from './bsdiff.ts';
import type { DeltaName, Deltas } from './manifest-source.ts';
import { deltaEntry, isDelta, type SourceFile } from './sources.ts';
import { deltaLevel, type ZipInput } from './zip-writer.ts';

export interface DeltaOptions {
  /** Older packages, the order of their patches. */
  readonly from: readonly string[];
  readonly rules: TargetRules;
  /** As the package is written. */
  readonly compress: boolean;
  /** Told of each patch, in words: they take their time. */
  readonly onDelta: (text: string) => void;
}

export interface MadeDeltas {
  readonly names: Deltas;
  readonly inputs: readonly ZipInput[];
}

type DeltaInput = Extract<ZipInput, { kind: 'delta' }>;
type PackHost = Pick<Host, 'files' | 'memory'>;

/** Throws as the device's reader does where an older package is none, INVALID_MANIFEST where the folder uses the names of patches. */
export async function makeDeltas(
  host: PackHost,
  manifest: CompleteManifest,
  files: readonly SourceFile[],
  options: DeltaOptions,
): Promise<MadeDeltas> {
  const clash = files.find(({ entry }) => isDelta(entry));
  if (clash !== undefined)
    throw new UpdateError('INVALID_MANIFEST', `${clash.entry} has the name of a patch of the package`);
  const [zlib, { createHash }] = [await import('node:zlib'), await import('node:crypto')];
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const older: OldPackage[] = [];
  const names = new Map<string, DeltaName[]>();
  const inputs: DeltaInput[] = [];
  try {
    for (const path of options.from) older.push(await openOld(host, path, options.rules));
    for (const file of files) {
      if (file.sizeBytes > limits.deltaMostBytes || file.sizeBytes < limits.deltaLeastBytes) continue;
      const targets = targetsOf(manifest, file.entry);
      const olds = older.flatMap((old) => {
        const entry = targets.map((target) => old.entryAt.get(target)).find((name) => name !== undefined);
        return entry === undefined ? [] : [{ ...old, entry }];
      });
      if (olds.length > 0) await addDeltas(file, olds);
    }
    return { names, inputs };
  } finally {
    for (const { archive } of older) await archive.close();
  }

  async function addDeltas(file: SourceFile, olds: readonly (OldPackage & { entry: string })[]) {
    const now = Buffer.from((await readWhole(host.files, file.path, limits.deltaMostBytes)) ?? []);
    const wholeBytes = options.compress ? zlib.deflateRawSync(now).length : now.length;
    if (wholeBytes < limits.deltaLeastBytes) return;
    const done = new Set([sha256(now)]);
    for (const { archive, entry, version } of olds) {
      const old = await contentOf(archive, entry);
      const from = old === undefined ? undefined : sha256(old);
      if (old === undefined || from === undefined || done.has(from) || done.size > limits.deltasOfFile)
        continue;
      done.add(from);
      const delta = await deltaOf(zlib, old, now);
      const isWorth = delta.deflated.length * 2 < wholeBytes;
      const share = `${delta.deflated.length} instead of ${wholeBytes} bytes`;
      options.onDelta(`${file.entry} from ${version}: ${share}${isWorth ? '' : ', not worth it'}`);
      if (!isWorth) continue;
      const name = deltaEntry(inputs.length);
      inputs.push({ kind: 'delta', name, ...delta });
      names.set(file.entry, [...(names.get(file.entry) ?? []), { from, entry: name }]);
    }
  }
}

interface OldPackage {
  readonly archive: Archive;
  readonly version: string;
  /** By the place on the device. */
  readonly entryAt: ReadonlyMap<string, string>;
}

async function openOld(host: PackHost, path: string, rules: TargetRules): Promise<OldPackage> {
  let archive: Archive | undefined;
  try {
    archive = await openArchive(host, path);
    const { release } = await readRelease(archive, lookedAt(rules), []);
    const files = release.modules.flatMap((module) => [...module.files]);
    const entryAt = new Map(files.map(({ target, entry }) => [target, entry]));
    return { archive, version: release.version, entryAt };
  } catch (thrown) {
    await archive?.close();
    if (!(thrown instanceof UpdateError)) throw thrown;
    const text = thrown.message.slice(thrown.code.length + 2);
    throw new UpdateError(thrown.code, `the older package ${path}: ${text}`, { cause: thrown });
  }
}

/** Where the device has a file of the package. */
function targetsOf({ modules }: CompleteManifest, entry: string): string[] {
  return modules.flatMap(({ src, dst = anySelf.path }) => {
    const source = withoutSlash(src);
    if (entry === source) return [dst];
    return entry.startsWith(`${source}/`) ? [withoutSlash(dst) + entry.slice(source.length)] : [];
  });
}

/** Undefined where it is too large, or empty. */
async function contentOf(archive: Archive, name: string): Promise<Buffer | undefined> {
  const entry = await entryNamed(archive.entries, name);
  if (entry === undefined || entry.sizeBytes === 0 || entry.sizeBytes > limits.deltaMostBytes)
    return undefined;
  const content = Buffer.alloc(entry.sizeBytes);
  let filled = 0;
  await archive.readEntry(name, Math.max(entry.sizeBytes, entry.compressedBytes), (chunk) => {
    content.set(chunk, filled);
    filled += chunk.length;
  });
  return content;
}

async function deltaOf(zlib: typeof Zlib, old: Buffer, now: Buffer) {
  const patch = bsdiff(old, now);
  await checkMakes(patch, old, now);
  return { deflated: zlib.deflateRawSync(patch, { level: deltaLevel }), sizeBytes: patch.length };
}

/** Throws where the device would not make the file: nobody ships what was never tried. */
async function checkMakes(patch: Buffer, old: Buffer, now: Buffer): Promise<void> {
  const base = {
    sizeBytes: old.length,
    read: (into: Uint8Array, position: number) => {
      old.copy(into, 0, position, position + into.length);
      return undefined;
    },
  };
  async function* once() {
    yield patch;
  }
  let at = 0;
  for await (const chunk of bspatch(once(), base, now.length)) {
    if (!now.subarray(at, at + chunk.length).equals(chunk)) break;
    at += chunk.length;
  }
  if (at !== now.length) throw new Error(`a patch that goes wrong at byte ${at}`);
}
