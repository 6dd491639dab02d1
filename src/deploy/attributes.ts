/** Extended attributes on the files of a transaction: which files have any, and how a file that was just written gets its own. */
import { accessList, capability, goesWithFile } from '../attribute-kinds.ts';
import { errno } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Attributes, Files, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';

/** What the filesystem, the kernel or a container has not, or has not so long. */
const cannotHold = new Set([
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EPERM',
  'EACCES',
  'EINVAL',
  'E2BIG',
  'ERANGE',
]);
const hasNoRoom = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Gives a finished file these attributes, and no other access list that its directory may have given it. Gives the names of
 * those that cannot be held; rejects with a system error, but never for what others noted under `user.`.
 */
export async function giveAttributes(file: OpenFile, attributes: Attributes): Promise<string[]> {
  const missing: string[] = [];
  const set = async (name: string, value: string | undefined) => {
    try {
      await file.setAttribute(name, value);
    } catch (thrown) {
      const code = errno(thrown) ?? '';
      const isSoft = cannotHold.has(code) || (name.startsWith('user.') && hasNoRoom.has(code));
      if (!isSoft) throw thrown;
      if (value !== undefined) missing.push(name);
    }
  };
  await set(accessList, attributes[accessList]);
  if (attributes[capability] !== undefined) await set(capability, attributes[capability]);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith('user.')) await set(name, value);
  return missing;
}

/** Of each of the paths that has attributes which go with a file: their names. */
export async function attributesAmong(
  files: Pick<Files, 'attributeNames'>,
  paths: AsyncIterable<string> | Iterable<string>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const look = async (group: readonly string[]) => {
    for (const [path, names] of await files.attributeNames(group)) {
      const ours = names.filter(goesWithFile);
      if (ours.length > 0) found.set(path, ours);
    }
  };
  let group: string[] = [];
  for await (const path of Symbol.asyncIterator in paths ? paths : breathing(paths)) {
    group.push(path);
    if (group.length < limits.attributePaths) continue;
    await look(group);
    group = [];
  }
  if (group.length > 0) await look(group);
  return found;
}

/** Tells whether one of `paths` has any; all are looked at when the first is asked for. */
export function attributeFinder(
  files: Pick<Files, 'attributeNames'>,
  paths: Iterable<string>,
): (path: string) => Promise<boolean> {
  let looking: Promise<ReadonlyMap<string, readonly string[]>> | undefined;
  return async (path) => {
    looking ??= attributesAmong(files, paths);
    return (await looking).has(path);
  };
}
