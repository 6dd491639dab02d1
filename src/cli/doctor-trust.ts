/** The doctor on what root trusts: the work directory, the program, its configuration and keys are root's alone. */
import { strangerAt } from '../host/trust.ts';
import { checkOf, type Finding } from './finding.ts';

/** `paths`: absolute; those that are not there say nothing. */
export async function trustCheck(paths: readonly string[]): Promise<Finding> {
  const check = checkOf('ownership');
  const strangers = new Set<string>();
  for (const path of paths) {
    const stranger = await strangerAt(path);
    if (stranger !== undefined) strangers.add(stranger);
  }
  if (strangers.size === 0) return check.ok('nobody but root can change the updater');
  return check.warn(
    [...strangers].join('; '),
    'whoever that is can become root through the updater: chown it to root and take the permission away',
  );
}
