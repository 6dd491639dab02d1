/** What a package is asked for by: the body of POST /download, which state.json remembers (spec section 2). */
import { posix } from 'node:path';
import * as v from 'valibot';
import { VersionSchema } from '../version.ts';

/** What POST /download asks for; also what state.json remembers of it. Names as on the wire (spec section 2). */
export const PackageSchema = v.object({
  version: VersionSchema,
  package_url: v.pipe(v.string(), v.maxLength(8192), v.url('must be an absolute URL')),
  package_name: v.pipe(
    v.string(),
    v.maxLength(200),
    v.regex(
      /^[A-Za-z0-9][A-Za-z0-9._+-]*$/,
      'must be a bare file name of letters, digits, ".", "_", "+", "-"',
    ),
    v.check(
      (name) => !/^(state|outbox|fleet)\.json/.test(name),
      'is a name that the updater keeps for itself',
    ),
  ),
  package_size: v.pipe(
    v.number(),
    v.safeInteger(),
    v.minValue(1, 'must be a number of bytes greater than 0'),
  ),
  package_md5: v.pipe(
    v.string(),
    v.regex(/^[0-9a-fA-F]{32}$/, 'must be 32 hexadecimal digits'),
    v.toLowerCase(),
  ),
  package_sha256: v.optional(
    v.pipe(v.string(), v.regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits'), v.toLowerCase()),
  ),
  /** Also where the version is lower than the installed one; /update may say so, too. */
  allow_downgrade: v.optional(v.boolean()),
});
export type PackageRequest = v.InferOutput<typeof PackageSchema>;

/**
 * True where `asked` is the package `known`. The URL may differ, a pre-signed one is new each time. A SHA-256 that `asked`
 * gives must be the one that `known` is, or was, verified by; one that it leaves out asks for less.
 */
export function isSamePackage(known: PackageRequest, asked: PackageRequest): boolean {
  return (
    known.version === asked.version &&
    known.package_name === asked.package_name &&
    known.package_size === asked.package_size &&
    known.package_md5 === asked.package_md5 &&
    (asked.package_sha256 === undefined || asked.package_sha256 === known.package_sha256)
  );
}

/** Where the verified package of a name lies. */
export function packagePath(directory: string, packageName: string): string {
  return posix.join(directory, packageName);
}
