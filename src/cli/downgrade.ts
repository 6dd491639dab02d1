/** What `install` says of a version lower than the installed one: the flag that allows it, and the other way back. Pure. */
import { errorText } from '../errors.ts';
import type { HistoryEntry } from '../history.ts';
import { checkNoDowngrade } from '../operations/fit.ts';
import { CommandError } from './failure.ts';
import { standingUpdates } from './rollback.ts';

/** Throws where `version` is lower than `installed` (null: nothing is). `history`: newest first; empty where nothing can be rolled back. */
export function refuseDowngrade(
  version: string,
  installed: string | null,
  history: readonly HistoryEntry[],
): void {
  try {
    checkNoDowngrade(version, installed ?? undefined);
  } catch (thrown) {
    throw new CommandError(downgradeText(errorText(thrown), history), 1, { cause: thrown });
  }
}

/** `refusal`: of operations/fit.ts, here or in the daemon: it names the key of a request, which nobody types. */
export function downgradeText(refusal: string, history: readonly HistoryEntry[]): string {
  const said = refusal.replace(/; send "allow_downgrade".*$/, '');
  return [said, 'to install it all the same: --allow-downgrade', ...rollbackTexts(history)].join('\n  ');
}

function rollbackTexts(history: readonly HistoryEntry[]): string[] {
  const [last] = standingUpdates(history);
  if (last === undefined) return [];
  const goal =
    last.previous_version === null ? `take ${last.version} back` : `go back to ${last.previous_version}`;
  return [`to ${goal}: tope-updater rollback`];
}
