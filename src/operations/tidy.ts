/**
 * What is left to do when a transaction's outcome stands: bookkeeping, backups, and last of all the journal. May be cut anywhere
 * and repeated at the next start.
 */
import { journalPath } from '../deploy/journal-file.ts';
import { forgetUpdates, prunePastUpdates, recordPath } from '../deploy/past-updates.ts';
import { clearAway } from '../deploy/switch.ts';
import { discardStaged } from '../deploy/undo.ts';
import { errorText, UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { startServices } from '../services/services.ts';
import { syncMachine } from './commands.ts';
import { endProbation, leaveToCurrent } from './self-update.ts';
import type { Outcome, Run } from './transaction-context.ts';

/** The update stands. The journal becomes its record, or goes with what it took back (a rollback's). `isRepeated`: an earlier run was cut in this. */
export async function tidyCommitted(run: Run, isRepeated = false): Promise<Outcome> {
  const { context, plan } = run;
  await tidy(run, async (files, directory) => {
    await endProbation(context, plan, 'committed');
    await clearAway(context.host, plan, isRepeated);
    await context.onEnd(plan, null);
    if (plan.kind === 'update') {
      await files.rename(journalPath(directory), recordPath(directory, plan.id));
      await files.syncDirectory(directory);
      await prunePastUpdates(files, directory);
    } else {
      await forgetUpdates(files, directory, plan.consumes);
      await prunePastUpdates(files, directory);
      await removeJournal(files, directory);
    }
  });
  await leaveToCurrent(context, plan);
  return { kind: 'committed' };
}

/** Everything is old: the old services run again, staged files and the journal go. */
export async function tidyUndone(run: Run, error: UpdateError): Promise<Outcome> {
  const { context, plan } = run;
  const told = withStartFailure(error, await startCaptured(run));
  if (run.services.some(({ disables }) => disables.length > 0)) await syncMachine(run); // enabled again
  await tidy(run, async (files, directory) => {
    await discardStaged(context.host, plan);
    await endProbation(context, plan, 'undone');
    await forgetUpdates(files, directory, [plan.id]);
    await context.onEnd(plan, told);
    await prunePastUpdates(files, directory);
    await removeJournal(files, directory);
  });
  await leaveToCurrent(context, plan);
  return { kind: 'undone', error: told };
}

/** What is left to do when the outcome stands. A failure is logged: the journal stays and the next start repeats it. */
async function tidy(
  { context, journal }: Run,
  work: (files: Files, backupDirectory: string) => Promise<void>,
): Promise<void> {
  const { host, backupDirectory } = context;
  try {
    await journal.close();
    await work(host.files, backupDirectory);
  } catch (thrown) {
    host.log.error(`tidying up after the transaction, repeated at the next start: ${errorText(thrown)}`);
  }
}

async function removeJournal(files: Files, backupDirectory: string): Promise<void> {
  await files.remove(journalPath(backupDirectory));
  await files.syncDirectory(backupDirectory);
}

/** Starts what ran before. Gives why it does not run again: the files are what they were, and a person must look at it. */
export async function startCaptured({ context, services }: Run): Promise<string | undefined> {
  const { host, shutdown, outputDirectory } = context;
  try {
    await startServices(host, services, 'captured', { signal: shutdown, outputDirectory });
    return undefined;
  } catch (thrown) {
    if (shutdown.aborted) return undefined; // started, only not watched
    host.log.error(`restarting the services that ran before: ${errorText(thrown)}`);
    return errorText(thrown);
  }
}

/** What is down counts more than why the update was taken back: it stands first. */
export function withStartFailure(error: UpdateError, failure: string | undefined): UpdateError {
  if (failure === undefined) return error;
  return new UpdateError(
    error.code,
    `${down}, the one of before does not start: ${failure}; before that: ${error.message}`,
  );
}

const down = 'a service is down';

/** True of what withStartFailure has made of an error. */
export function serviceIsDown(message: string): boolean {
  return message.includes(`: ${down}, `);
}
