/**
 * A port that is taken: usually an end with that message, at once. While a new executable proves itself (deploy/probation.ts) the port was given
 * up by the one before a moment ago, and whoever has taken it meanwhile would make the new one fail: it is waited for.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errno } from '../errors.ts';
import { limits } from '../limits.ts';

/** Tries an action again while it rejects as the port is taken, up to limits.portWaitMs; all tries of one start share that time. */
export function portPatience(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): <T>(action: () => Promise<T>) => Promise<T> {
  const { TOPE_UPDATER_EXECUTABLE: executable } = environment;
  const isProving = executable !== undefined && existsSync(join(dirname(executable), 'probation'));
  const endMs = performance.now() + (isProving ? limits.portWaitMs : 0);
  let isSaid = false;
  return async (action) => {
    for (;;) {
      try {
        return await action();
      } catch (thrown) {
        if (!(thrown instanceof Error) || errno(thrown.cause) !== 'EADDRINUSE' || performance.now() >= endMs)
          throw thrown;
        if (!isSaid) process.stderr.write(`tope-updater: ${thrown.message}; it is waited for\n`);
        isSaid = true;
        await sleep(limits.portTryMs);
      }
    }
  };
}
