/** Looks at a package as a device would: the same reader and rules, every byte read, every digest compared. Changes nothing and needs no device. */

import type * as Crypto from 'node:crypto';
import { posix } from 'node:path';
import { newDigests } from '../download/digest.ts';
import { UpdateError } from '../errors.ts';
import { matchesAny } from '../glob.ts';
import type { Host, Memory } from '../host/host.ts';
import type { Archive } from '../package/archive.ts';
import { openArchive } from '../package/archive.ts';
import type { EntrySink } from '../package/extraction.ts';
import { lookedAt, readRelease } from '../package/read-release.ts';
import type { Signed, TrustedKey } from '../package/signature.ts';
import type { TargetRules } from '../package/targets.ts';
import type { Release, ReleaseFile } from '../release.ts';
import { commandName } from '../services/proc-text.ts';
import { loadTextDigest } from '../text-digest.ts';
import { filesEntry, isDelta } from './sources.ts';

export interface Inspection {
  readonly release: Release;
  /** Size and digests of the package itself, lower-case hex. */
  readonly sizeBytes: number;
  readonly md5: string;
  readonly sha256: string;
  /** There is a signature; whether it is good is known where keys were given. */
  readonly hasSignature: boolean;
  readonly signed: Signed | undefined;
  /** What a device would log or not use, one sentence each. */
  readonly warnings: readonly string[];
}

/** Throws what a device would refuse the package with, also SIZE_MISMATCH, MD5_MISMATCH or SHA256_MISMATCH of a file. */
export async function inspectPackage(
  host: Pick<Host, 'files' | 'memory'>,
  path: string,
  rules: TargetRules,
  trustedKeys: readonly TrustedKey[],
): Promise<Inspection> {
  const archive = await openArchive(host, path);
  try {
    const { release, warnings, signed } = await readRelease(archive, lookedAt(rules), trustedKeys);
    const byEntry = filesByEntry(release);
    const { names, md5, sha256 } = await readEverything(host.memory, archive, byEntry);
    return {
      release,
      sizeBytes: archive.sizeBytes,
      md5,
      sha256,
      hasSignature: names.has('manifest.json.minisig'),
      signed,
      warnings: [
        ...warnings,
        ...unusedEntries(names, byEntry),
        ...idlePatterns(release),
        ...misnamed(release),
        ...enablingNothing(release),
      ],
    };
  } finally {
    await archive.close();
  }
}

/** The files of the release that are made of an entry, by its name. */
type FilesByEntry = ReadonlyMap<string, readonly ReleaseFile[]>;

function filesByEntry({ modules }: Release): FilesByEntry {
  const byEntry = new Map<string, ReleaseFile[]>();
  for (const { files } of modules) {
    for (const file of files) {
      const others = byEntry.get(file.entry);
      if (others === undefined) byEntry.set(file.entry, [file]);
      else others.push(file);
    }
  }
  return byEntry;
}

/** `names`: of all that are no directories. */
async function readEverything(
  memory: Memory,
  archive: Archive,
  byEntry: FilesByEntry,
): Promise<{ names: ReadonlySet<string>; md5: string; sha256: string }> {
  const names = new Set<string>();
  for (const { name, isDirectory } of archive.entries) if (!isDirectory) names.add(name);
  const { createHash } = await import('node:crypto');
  const digests = { md5: await loadTextDigest('md5'), sha256: await loadTextDigest() };
  const digest = await newDigests(memory, true, archive.sizeBytes);
  try {
    await archive.extract({
      wanted: names, // the content of one that is not deployed is checked, too
      open: async (entry) => digestSink(createHash, byEntry.get(entry.name) ?? []),
      takeMany: async (entries) => {
        for (const { entry, content } of entries) {
          const expected = byEntry.get(entry.name) ?? [];
          for (const kind of kindsOf(expected)) compare(expected, kind, digests[kind](content));
        }
      },
      digest,
      onBytes: () => undefined,
      signal: new AbortController().signal,
    });
    const { md5, sha256 } = await digest.finish();
    if (sha256 === undefined) throw new Error('a digest that was asked for is missing');
    return { names, md5, sha256 };
  } finally {
    digest.abort();
  }
}

/** Compares the content with what the manifest says of each file that is made of it. */
function digestSink(createHash: typeof Crypto.createHash, expected: readonly ReleaseFile[]): EntrySink {
  const hashes = kindsOf(expected).map((kind) => ({ kind, hash: createHash(kind) }));
  return {
    write: (chunk) => {
      for (const { hash } of hashes) hash.update(chunk);
    },
    end: async () => {
      for (const { kind, hash } of hashes) compare(expected, kind, hash.digest('hex'));
    },
  };
}

const mismatches = { md5: 'MD5_MISMATCH', sha256: 'SHA256_MISMATCH' } as const;
type DigestKind = keyof typeof mismatches;

/** The digests that anything is said of. */
function kindsOf(expected: readonly ReleaseFile[]): DigestKind[] {
  return (['md5', 'sha256'] as const).filter((kind) => expected.some((file) => file[kind] !== undefined));
}

function compare(expected: readonly ReleaseFile[], kind: DigestKind, found: string): void {
  const other = expected.find((file) => file[kind] !== undefined && file[kind] !== found);
  if (other === undefined) return;
  throw new UpdateError(
    mismatches[kind],
    `${other.entry}: ${other[kind]} in the manifest, ${found} in the package`,
  );
}

/** A pattern of what people edit that names nothing in the package is often a slip: it is compared with the whole path. */
function idlePatterns({ modules }: Release): string[] {
  return modules.flatMap(({ name, target, config, files }) =>
    config
      .filter(
        (pattern) => ![...files].some((file) => matchesAny([pattern], file.target.slice(target.length + 1))),
      )
      .map((pattern) => `${name}: config "${pattern}" matches no file of the package`),
  );
}

/** A name that nothing on the command line has finds the program only where it names itself so. */
function misnamed({ modules }: Release): string[] {
  return modules.flatMap(({ name, service: { processName, start } }) => {
    if (processName === undefined || start === undefined) return [];
    const names = [...start.map((word) => posix.basename(word)), commandName(start)];
    // The kernel's name of a process is cut there.
    if (names.some((each) => each === processName || each?.slice(0, 15) === processName)) return [];
    return `${name}: process_name "${processName}" is neither the file nor a script of "start": the program is not found by it, unless it names itself so`;
  });
}

function enablingNothing({ modules }: Release): string[] {
  return modules
    .filter(({ service: { enable, unit } }) => enable === true && unit === undefined)
    .map(({ name }) => `${name}: "enable" has no "service" that it could enable`);
}

function unusedEntries(entryNames: ReadonlySet<string>, byEntry: FilesByEntry): string[] {
  const own = ['manifest.json', 'manifest.json.minisig', filesEntry];
  const unused = [...entryNames].filter(
    (name) => !byEntry.has(name) && !own.includes(name) && !isDelta(name),
  );
  if (unused.length === 0) return [];
  const names = unused.slice(0, 5);
  const more = unused.length > names.length ? ` and ${unused.length - names.length} more` : '';
  return [`no module deploys ${names.join(', ')}${more}`];
}
