/** Errors as the kernel's wrappers throw them: `code` is the errno's name, the message names call and path. No stack: made by the thousand. */

export function systemError(code: string, call: string, path: string): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new Error(`${code}: ${call} '${path}'`);
  Error.stackTraceLimit = stackTraceLimit;
  return Object.assign(error, { code, syscall: call, path });
}
