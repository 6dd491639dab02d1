/** What a test file's output says first of what failed, in one line. Pure. */

/** `NAME: MESSAGE` of uvu's first failure; without one (the file broke off, or hung) the last line that was printed. */
export function firstFailure(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const at = lines.findIndex((line) => uvuFailure.test(line));
  if (at === -1) return cut(errorLine(lines) ?? lines.findLast((line) => line !== '') ?? 'no output');
  const name = uvuFailure.exec(lines[at] ?? '')?.[1] ?? '';
  const message = lines.slice(at + 1).find((line) => line !== '') ?? '';
  return cut(`${name}: ${message.replace(/ {2}\(\w+\)$/, '')}`);
}

const uvuFailure = /^FAIL {2}.*?"(.*)"$/;

/** What Node prints of an error that nobody caught. */
function errorLine(lines: readonly string[]): string | undefined {
  return lines.find((line) => /^(Uncaught )?\w*Error( \[\w+\])?: /.test(line));
}

function cut(text: string): string {
  return text.length > 300 ? `${text.slice(0, 297)}...` : text;
}
