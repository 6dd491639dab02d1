/** Owners of the manifest ("user", "user:group" or numbers) as ids, by the device's own /etc/passwd and /etc/group. */
import { errno, UpdateError } from '../errors.ts';
import { readWhole } from '../host/durable-file.ts';
import type { FileOwner, Files } from '../host/host.ts';
import { limits } from '../limits.ts';

/** Reads the tables once, if any owner is named. The function returned throws INVALID_MANIFEST for an unknown name. */
export async function readOwners(
  files: Files,
  owners: readonly (string | undefined)[],
): Promise<(owner: string) => FileOwner> {
  if (owners.every((owner) => owner === undefined)) return (owner) => parseOwner(owner, '', '');
  const passwd = await readTable(files, '/etc/passwd');
  const group = await readTable(files, '/etc/group');
  return (owner) => parseOwner(owner, passwd, group);
}

/** Pure. A user without a group brings the group that passwd gives, or gid = uid for a bare number. */
export function parseOwner(owner: string, passwd: string, group: string): FileOwner {
  const [user = '', groupName] = owner.split(':');
  const userLine = lookUp(passwd, user);
  const uid = isNumber(user) ? Number(user) : Number(userLine?.[2] ?? Number.NaN);
  const ownGid = userLine?.[3] ?? String(uid);
  const gid =
    groupName === undefined
      ? Number(ownGid)
      : isNumber(groupName)
        ? Number(groupName)
        : Number(lookUp(group, groupName)?.[2] ?? Number.NaN);
  if (!Number.isSafeInteger(uid))
    throw new UpdateError('INVALID_MANIFEST', `owner "${owner}": no user "${user}" on this device`);
  if (!Number.isSafeInteger(gid))
    throw new UpdateError('INVALID_MANIFEST', `owner "${owner}": no group "${groupName}" on this device`);
  return { uid, gid };
}

function lookUp(table: string, name: string): string[] | undefined {
  return table
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[0] === name && fields.length > 2);
}

function isNumber(text: string): boolean {
  return /^\d{1,9}$/.test(text);
}

async function readTable(files: Files, path: string): Promise<string> {
  // A read-only root filesystem often keeps its tables elsewhere, behind a symlink.
  const real = await files.realPath(path).catch((thrown: unknown) => {
    if (errno(thrown) === 'ENOENT') return undefined;
    throw thrown;
  });
  if (real === undefined) return '';
  const bytes = await readWhole(files, real, limits.manifestBytes);
  return bytes === undefined ? '' : Buffer.from(bytes).toString('utf8');
}
