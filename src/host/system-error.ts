/** Errors as the system's calls throw them, for what this program finds out itself. */

/** `CODE: message`, with `code` as Node has it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
