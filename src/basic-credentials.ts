/** The userinfo of a URL as HTTP's Basic credentials (RFC 7617). Pure. */

/** The value of (Proxy-)Authorization for a URL's userinfo; undefined: it has none. Bytes that are no UTF-8, and a lone "%", go over as they are. */
export function basicCredentials({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  // Outside of percent-encoding the URL parser leaves ASCII alone.
  return `Basic ${btoa(`${percentDecoded(username)}:${percentDecoded(password)}`)}`;
}

/** One character of U+0000 to U+00FF for each byte. */
function percentDecoded(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, byte: string) =>
    String.fromCharCode(Number.parseInt(byte, 16)),
  );
}
