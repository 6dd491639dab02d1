/** Errors as the kernel's wrappers throw them: `code` is the errno's name, the message names call and path. */

export function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path });
}
