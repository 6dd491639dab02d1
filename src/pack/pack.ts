/**
 * Packing: from a folder with a manifest to a package that a device takes. The same folder gives the same bytes; the output
 * appears under its name only after the device's own reader took it, and a failure leaves nothing behind. Spec section 4.
 */
import { posix } from 'node:path';
import * as v from 'valibot';
import { type PackageRequest, PackageSchema } from '../download/request.ts';
import { asUpdateError, UpdateError } from '../errors.ts';
import { readWhole, removeIfThere } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { listText } from '../package/listed-files.ts';
import { parseTrustedKey } from '../package/signature.ts';
import type { TargetRules } from '../package/targets.ts';
import { type MadeDeltas, makeDeltas } from './deltas.ts';
import { factsOf } from './facts.ts';
import { type Inspection, inspectPackage } from './inspect.ts';
import {
  type FileFacts,
  type FilledManifest,
  filledManifest,
  type ManifestSource,
  readManifestSource,
} from './manifest-source.ts';
import type { SigningKey } from './secret-key.ts';
import { withSelf } from './self-source.ts';
import { collectSources, filesEntry, type Sources, withFiles } from './sources.ts';
import { writeZip, type ZipInput } from './zip-writer.ts';

export interface PackOptions {
  /** Holds the manifest, and the files that its modules name. */
  readonly folder: string;
  readonly manifestPath: string;
  readonly outputPath: string;
  readonly compress: boolean;
  readonly signingKey: SigningKey | undefined;
  /** What the devices allow. */
  readonly rules: TargetRules;
  /** A folder with the executables of a release, which go into the package (self-source.ts). */
  readonly selfFrom?: string | undefined;
  /** Older packages for whose devices patches are made (deltas.ts). */
  readonly deltaFrom?: readonly string[];
  /** Told of each patch, in words. */
  readonly onDelta?: (text: string) => void;
}

type PackHost = Pick<Host, 'files' | 'memory'>;

/** Makes the package. Throws INVALID_MANIFEST or INVALID_PACKAGE with the place, where a device would refuse it. */
export async function packFolder(host: PackHost, options: PackOptions): Promise<Inspection> {
  const folder = posix.dirname(options.outputPath);
  // Before thousands of files are read.
  if ((await host.files.stat(folder)) === undefined)
    throw new UpdateError(
      'VALIDATION_ERROR',
      `${options.outputPath} cannot be written: ${folder} is not there`,
    );
  const { source, sources } = await collect(host, options);
  if (sources.files.some(({ path }) => path === options.outputPath))
    throw new UpdateError('INVALID_PACKAGE', `${options.outputPath} lies in a folder that is packed itself`);
  const facts = await factsOf(host, sources.files);
  const deltas = await makeDeltas(host, source.manifest, sources.files, {
    from: options.deltaFrom ?? [],
    rules: options.rules,
    compress: options.compress,
    onDelta: options.onDelta ?? (() => undefined),
  });
  const texts = await manifestOf(filledManifest(source, facts, { ...sources, deltas: deltas.names }));
  const inputs = await zipInputs(texts, source.manifest.version, sources, deltas.inputs, options.signingKey);

  const unfinished = `${options.outputPath}.unfinished`;
  await removeIfThere(host.files, unfinished);
  try {
    await writeZip(host.files, unfinished, inputs, options.compress);
    const keys = options.signingKey === undefined ? [] : [parseTrustedKey(options.signingKey.publicKey)];
    const inspection = await inspectPackage(host, unfinished, options.rules, keys);
    await host.files.rename(unfinished, options.outputPath);
    const warnings = [
      ...inspection.warnings,
      ...droppedModes(source, sources),
      ...unsignedSelf(source, options.signingKey),
      ...heavyDeltas(deltas, inspection.sizeBytes),
    ];
    return { ...inspection, warnings };
  } catch (thrown) {
    await removeIfThere(host.files, unfinished);
    throw asUpdateError(thrown, 'INVALID_PACKAGE', `writing ${options.outputPath}`);
  }
}

/** The manifest with what it names, and with the updater where that goes in, too. */
async function collect(
  host: PackHost,
  { folder, manifestPath, selfFrom }: PackOptions,
): Promise<{ source: ManifestSource; sources: Sources }> {
  const source = await readSource(host, manifestPath);
  const sources = await collectSources(host.files, folder, source.manifest);
  if (selfFrom === undefined) return { source, sources };
  const self = await withSelf(host.files, source, selfFrom);
  return { source: self.source, sources: withFiles(sources, self.files) };
}

/** The body of POST /download for a package. Throws VALIDATION_ERROR naming the field. */
export function downloadBody(
  facts: FileFacts & { readonly version: string },
  name: string,
  url: string,
): PackageRequest {
  const result = v.safeParse(PackageSchema, {
    version: facts.version,
    package_url: url,
    package_name: name,
    package_size: facts.sizeBytes,
    package_md5: facts.md5,
    package_sha256: facts.sha256,
  });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? 'package';
  throw new UpdateError('VALIDATION_ERROR', `${field}: ${JSON.stringify(issue.input)} ${issue.message}`);
}

/** The manifest of a folder. Throws INVALID_MANIFEST naming the field. */
export async function readSource(host: PackHost, path: string): Promise<ManifestSource> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readWhole(host.files, path, limits.manifestBytes);
  } catch (thrown) {
    throw asUpdateError(thrown, 'INVALID_MANIFEST', `reading ${path}`);
  }
  if (bytes === undefined) throw new UpdateError('INVALID_MANIFEST', `${path} is not there`);
  return readManifestSource(bytes);
}

/** A tree of very many files makes a manifest too long for a device: then the list of them is an entry of its own. */
async function manifestOf(filled: FilledManifest): Promise<{ manifest: string; list: string | undefined }> {
  const whole = filled.text();
  if (Buffer.byteLength(whole) <= limits.manifestBytes) return { manifest: whole, list: undefined };
  const { createHash } = await import('node:crypto');
  const list = listText(filled.files);
  const sha256 = createHash('sha256').update(list).digest('hex');
  return { manifest: filled.text({ entry: filesEntry, sha256 }), list };
}

/** The manifest first, so that a reader of the first bytes knows what the package is. */
async function zipInputs(
  { manifest, list }: { readonly manifest: string; readonly list: string | undefined },
  version: string,
  sources: Sources,
  deltas: readonly ZipInput[],
  key: SigningKey | undefined,
): Promise<ZipInput[]> {
  const signature = await key?.sign(Buffer.from(manifest), `version ${version}`);
  return [
    { kind: 'text', name: 'manifest.json', text: manifest },
    ...(signature === undefined
      ? []
      : [{ kind: 'text', name: 'manifest.json.minisig', text: signature } as const]),
    ...(list === undefined ? [] : [{ kind: 'text', name: filesEntry, text: list } as const]),
    ...deltas, // before all that they may make
    ...sources.emptyDirectories.map((name) => ({ kind: 'directory', name }) as const),
    ...sources.links.map(({ entry, to }) => ({ kind: 'link', name: entry, to }) as const),
    ...sources.files.map(({ entry, ...file }) => ({ kind: 'file', name: entry, ...file }) as const),
  ];
}

/** What the device refuses then, the packer says before anybody has it. */
function unsignedSelf({ manifest }: ManifestSource, key: SigningKey | undefined): string[] {
  if (key !== undefined || !manifest.modules.some((module) => module.self === true)) return [];
  return ['it brings the updater and is not signed: no device takes it so (--sign)'];
}

/** Permissions beyond rwxr-xr-x do not travel in a ZIP: the device takes them from the manifest alone. */
function droppedModes(source: ManifestSource, sources: Sources): string[] {
  const asked = new Set([
    ...source.manifest.modules.filter((module) => module.mode !== undefined).map((module) => module.src),
    ...(source.manifest.files ?? []).filter((file) => file.mode !== undefined).map((file) => file.path),
  ]);
  return sources.files
    .filter(({ entry, mode }) => (mode & 0o7000) !== 0 && !asked.has(entry))
    .map(
      ({ entry, mode }) =>
        `${entry} has mode ${mode.toString(8)}, but a package gives at most 755; "mode" in the manifest can ask for more`,
    );
}

/** Every device fetches every patch, whether it can use it or not. */
function heavyDeltas({ inputs }: MadeDeltas, packageBytes: number): string[] {
  const bytes = inputs.reduce((sum, input) => sum + (input.kind === 'delta' ? input.deflated.length : 0), 0);
  const percent = Math.round((100 * bytes) / packageBytes);
  if (percent <= limits.deltaHeavyPercent) return [];
  return [`${percent} % of the package are patches: a device that none of them fits fetches so much more`];
}
