/** Whether a transaction that was cut has changed anything yet. */
import { errorText } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { Journal } from './journal.ts';
import { fileSteps, stagedPath } from './plan.ts';

/**
 * True where the journal proves that no target was touched. Bad flash may have lost its last record, so the disk has a say: a
 * staged file, or one to remove, that is missing was switched; where it does not answer an undo is safe.
 */
export async function isUntouched(host: Pick<Host, 'files' | 'log'>, found: Journal): Promise<boolean> {
  if (found.state === 'staging') return true;
  if (found.state !== 'staged' && found.state !== 'stopping') return false;
  try {
    for (const step of fileSteps(found.plan)) {
      const untouched = step.kind === 'put' ? [stagedPath(step)] : [];
      if (step.backup !== null) untouched.push(step.target);
      for (const path of untouched) if ((await host.files.stat(path)) === undefined) return false;
    }
    return true;
  } catch (thrown) {
    host.log.warn(`looking for what was switched: ${errorText(thrown)}`);
    return false;
  }
}
