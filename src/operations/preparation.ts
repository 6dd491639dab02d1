/**
 * The bound of what an install does before anything is switched: planning, directories, backups, making it all durable. Each step has
 * limits.stepStuckMs; then the install ends, and the error says which step it was. (Staging has a closer watch, install.ts; services and
 * commands have bounds of their own.)
 *
 * Records of the journal, and what follows once services are stopped, have none: on a disk that does not answer nothing can be put back
 * either. The watchdog of the machine restarts it, and the start goes on from the journal.
 */
import { UpdateError } from '../errors.ts';
import type { Clock } from '../host/host.ts';
import { StuckError, watched } from '../host/watchdog.ts';
import { limits } from '../limits.ts';

export interface Preparation {
  /** From here on it is in this step; throws where the install was given up meanwhile: nothing more may be done then. */
  begin(what: string): void;
  /** A part that bounds itself. */
  bounded<T>(part: Promise<T>): Promise<T>;
}

/** Throws DEPLOYMENT_FAILED where a step does not end; what is stuck is left behind. */
export async function prepared<T>(
  clock: Clock,
  first: string,
  act: (preparation: Preparation) => Promise<T>,
): Promise<T> {
  let step = first;
  const options = { boundMs: limits.stepStuckMs, part: () => step, signal: new AbortController().signal };
  try {
    return await watched(clock, options, ({ signal, alive, resting }) =>
      act({
        begin(what) {
          signal.throwIfAborted();
          step = what;
          alive();
        },
        bounded: resting,
      }),
    );
  } catch (thrown) {
    if (!(thrown instanceof StuckError)) throw thrown;
    throw new UpdateError('DEPLOYMENT_FAILED', thrown.message, { cause: thrown });
  }
}
