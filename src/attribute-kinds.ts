/** The extended attributes that go with a file (xattr(7)): capabilities, access list, `user.*`; labels of security modules do not. Pure. */

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
