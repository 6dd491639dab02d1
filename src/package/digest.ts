/** MD5, and SHA-256 where it is wanted, of one stream of bytes. node:crypto is loaded at the first use: it costs memory. */
export interface Digests {
  update(bytes: Uint8Array): void;
  /** Lower-case hex; ends the computation. `sha256` is undefined where it was not wanted. */
  finish(): { readonly md5: string; readonly sha256: string | undefined };
}

export async function newDigests(withSha256: boolean): Promise<Digests> {
  const { createHash } = await import('node:crypto');
  const md5 = createHash('md5');
  const sha256 = withSha256 ? createHash('sha256') : undefined;
  return {
    update: (bytes) => {
      md5.update(bytes);
      sha256?.update(bytes);
    },
    finish: () => ({ md5: md5.digest('hex'), sha256: sha256?.digest('hex') }),
  };
}
