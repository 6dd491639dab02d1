/**
 * Which extended attributes a new file has, from those of the old one and those that are stated. Pure. Spec section 10. Nobody
 * may do more with it than its mode and owner say: capabilities and access lists go over to the same owner and group only,
 * capabilities only where nobody else may execute it, and a list lets nobody in whom the old one or the new mode kept out.
 */
import { accessList, capability } from '../attribute-kinds.ts';
import type { Attributes } from '../host/host.ts';
import type { Found } from './findings.ts';

type Dress = Pick<Found, 'mode' | 'uid' | 'gid'>;

export interface NewAttributes {
  readonly values: Attributes;
  /** What stays behind of the old file's, by name, with the reason. */
  readonly left: ReadonlyMap<string, string>;
}

/** `old`: as the file to replace has them; `stated` outranks these. */
export function newAttributes(
  { values, dress: from }: { readonly values: Attributes; readonly dress: Dress },
  stated: Attributes,
  to: Dress,
): NewAttributes {
  const left = new Map<string, string>();
  const carried: Record<string, string> = {};
  const isSameOwner = from.uid === to.uid && from.gid === to.gid;
  for (const [name, value] of Object.entries(values)) {
    if (stated[name] !== undefined) continue;
    if (name.startsWith('user.')) carried[name] = value;
    else if (!isSameOwner) left.set(name, 'its owner is another one');
    else if (name === accessList) carried[name] = listFor(value, from.mode, to.mode);
    else if (name !== capability) left.set(name, 'it is not known');
    else if ((to.mode & ~from.mode & everybodyExecutes) !== 0) left.set(name, 'more users may execute it');
    else carried[name] = value;
  }
  return { values: { ...carried, ...stated }, left };
}

const everybodyExecutes = 0o111;
const permissions = 0o777;

const tag = { user: 0x01, namedUser: 0x02, group: 0x04, namedGroup: 0x08, mask: 0x10, others: 0x20 } as const;

/** Of linux/posix_acl_xattr.h: a version (2), then entries of tag, permissions and id, 2, 2 and 4 bytes, little-endian. */
const headBytes = 4;
const entryBytes = 8;

/** The list as chmod(2) would change it, and besides with nobody in it whom the mask kept out. Modes are without mask (host/acl.ts). */
function listFor(base64: string, from: number, to: number): string {
  if ((from & permissions) === (to & permissions)) return base64;
  const list = Buffer.from(base64, 'base64');
  const entries: number[] = [];
  for (let at = headBytes; at + entryBytes <= list.length; at += entryBytes) entries.push(at);
  const tagAt = (at: number) => list.readUInt16LE(at);
  const mask = entries.find((at) => tagAt(at) === tag.mask);
  const most = mask === undefined ? 7 : list.readUInt16LE(mask + 2);
  for (const at of entries) {
    const before = list.readUInt16LE(at + 2);
    list.writeUInt16LE(permitted(tagAt(at), before & most, to), at + 2);
  }
  return list.toString('base64');
}

function permitted(kind: number, effective: number, mode: number): number {
  if (kind === tag.user) return (mode >> 6) & 7;
  if (kind === tag.others) return mode & 7;
  return kind === tag.group || kind === tag.mask ? (mode >> 3) & 7 : effective;
}
