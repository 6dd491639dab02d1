/** What a tool of the system answers, for what Node has no call for and node:ffi is not there. A process for each question. */
import { limits } from '../limits.ts';

/** Never rejects: a tool that fails, or is not there, is not done. */
export async function toolOutput(
  program: string,
  args: readonly string[],
): Promise<{ readonly isDone: boolean; readonly stdout: string; readonly stderr: string }> {
  const { execFile } = await import('node:child_process');
  const options = { env: { LC_ALL: 'C' }, timeout: 10_000, maxBuffer: limits.attributeNamesBytes * 32 };
  return new Promise((resolve) =>
    execFile(program, args, options, (error, stdout, stderr) =>
      resolve({ isDone: error === null, stdout, stderr }),
    ),
  );
}
