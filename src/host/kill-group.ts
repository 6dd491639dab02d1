/** Ends what leads a process group, with all that it started. */
import { errno } from '../errors.ts';

/** SIGKILL. Nothing where it has ended already. */
export function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (thrown) {
    if (errno(thrown) !== 'ESRCH') throw thrown;
  }
}
