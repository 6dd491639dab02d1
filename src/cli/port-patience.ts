/** A port that is taken usually ends a start at once; while a new executable proves itself it is waited for: the one before has just given it up. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errno } from '../errors.ts';
import { elapsedMs } from '../host/clock.ts';
import { limits } from '../limits.ts';

/** Tries an action again while it rejects as the port is taken, up to limits.portWaitMs; all tries of one start share that time. */
export function portPatience(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): <T>(action: () => Promise<T>) => Promise<T> {
  const { TOPE_UPDATER_EXECUTABLE: executable } = environment;
  const isProving = executable !== undefined && existsSync(join(dirname(executable), 'probation'));
  const endMs = elapsedMs() + (isProving ? limits.portWaitMs : 0);
  let isSaid = false;
  return async (action) => {
    for (;;) {
      try {
        return await action();
      } catch (thrown) {
        if (!(thrown instanceof Error) || errno(thrown.cause) !== 'EADDRINUSE' || elapsedMs() >= endMs)
          throw thrown;
        if (!isSaid) process.stderr.write(`tope-updater: ${thrown.message}; it is waited for\n`);
        isSaid = true;
        await new Promise((done) => setTimeout(done, limits.portTryMs));
      }
    }
  };
}
