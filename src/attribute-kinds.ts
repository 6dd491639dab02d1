/**
 * The extended attributes that go with a file (xattr(7)): its capabilities, its access list, and what programs noted under `user.`.
 * What else there is, labels of a security module, is the system's own affair. Pure.
 */

export const capability = 'security.capability';
export const accessList = 'system.posix_acl_access';

export function goesWithFile(name: string): boolean {
  return name === capability || name === accessList || name.startsWith('user.');
}

/** As people call them. */
export function attributesInWords(names: readonly string[]): string {
  return names.map(wordsOf).join(' and ');
}

function wordsOf(name: string): string {
  if (name === capability) return 'capabilities (setcap)';
  return name === accessList ? 'an access list (ACL)' : `the attribute ${name}`;
}
