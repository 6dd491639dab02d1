/** Names the product code that is calling right now. */

/**
 * The innermost three functions of src/ on the stack, as `file function`, innermost first; those of a port count as one, the
 * outermost. No line numbers: names last.
 */
export function codeSite(): string {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  const { stack } = new Error('here');
  Error.stackTraceLimit = stackTraceLimit;
  const frames = (stack ?? '').split('\n').flatMap((line) => {
    const [, name, file] = /at (?:async )?(?:(\S+) \()?.*\/src\/([^:]+):\d+/.exec(line) ?? [];
    return file === undefined ? [] : [`${file} ${name ?? '<anonymous>'}`];
  });
  const callers = frames.findIndex((frame) => !frame.startsWith('host/'));
  return frames
    .slice(Math.max(0, callers - 1))
    .slice(0, 3)
    .join(' < ');
}
