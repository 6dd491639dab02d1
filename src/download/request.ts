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
});
export type PackageRequest = v.InferOutput<typeof PackageSchema>;

/** Where the verified package of a name lies. */
export function packagePath(directory: string, packageName: string): string {
  return posix.join(directory, packageName);
}
