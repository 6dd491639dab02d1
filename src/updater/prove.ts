/**
 * What a start does about a probation (deploy/probation.ts), once what an earlier run had left is done: a new updater says that it
 * has proven itself, and after ten minutes of uptime that it stays; a fallback takes back what has failed.
 */
import { posix } from 'node:path';
import { journalPath, readJournal } from '../deploy/journal-file.ts';
import { pastUpdates } from '../deploy/past-updates.ts';
import type { OwnExecutable } from '../deploy/probation.ts';
import { UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Settings } from '../settings.ts';
import { condemned } from './recover.ts';
import { endStaleProbation } from './stale-probation.ts';
import type { RunningUpdater } from './state.ts';

type ProvingHost = Pick<Host, 'files' | 'clock' | 'log'>;

/** Call once, when `updater` has recovered. Resolves when nothing is left to do now. */
export async function proveItself(
  host: ProvingHost,
  { executable, workDirectory }: Settings,
  updater: RunningUpdater,
): Promise<void> {
  if (executable === undefined) return;
  const backups = posix.join(workDirectory, 'backups');
  const probation = await executable.probation();
  if (probation === undefined) return executable.removeLeftover();
  const isOnTrial = async () => {
    const left = await readJournal(host.files, journalPath(backups));
    return left.kind === 'journal' && left.journal.plan.id === probation.update;
  };
  if (executable.isFallback()) {
    await updater.settled();
    return takeBack(host, executable, backups, updater);
  }
  if (await isOnTrial()) await updater.settled();
  // Taken back; or stuck, for the next start or update to undo.
  if ((await isOnTrial()) || (await executable.probation()) === undefined) return;
  await executable.serving();
  await executable.note('committed');
  // The rollback of a fallback, finished by what it has brought back.
  await updater.settled();
  if (await endStaleProbation(host, backups, executable)) return;
  host.clock.after(limits.probationMs, () => {
    stay(host, executable, probation.update).catch((thrown: unknown) =>
      host.log.error(`ending the probation: ${String(thrown)}`),
    );
  });
}

async function takeBack(
  host: ProvingHost,
  executable: OwnExecutable,
  backups: string,
  updater: RunningUpdater,
): Promise<void> {
  const probation = await executable.probation();
  // What the recovery has done; or an undo that did not end: the next start goes on with it.
  if (probation === undefined || (await host.files.stat(journalPath(backups))) !== undefined) return;
  const { update } = probation;
  const plan = (await pastUpdates(host, backups)).find(({ id }) => id === update);
  if (plan?.version) {
    await updater.cancel();
    try {
      await updater.rollback(plan.version, condemned());
      return;
    } catch (thrown) {
      // What is left is the updater alone: without one, nothing can ever be repaired.
      if (!(thrown instanceof UpdateError) || thrown.code !== 'NO_BACKUP') throw thrown;
      host.log.error(`${thrown.message}: the updater alone is put back`);
    }
  }
  const isBack = await executable.restorePrevious();
  await executable.endProbation();
  if (isBack) await updater.fellBack(condemned());
  if (!(await executable.isCurrent())) executable.end();
}

/** Another one may be on probation by now. */
async function stay(
  { log }: Pick<Host, 'log'>,
  executable: OwnExecutable,
  update: string | undefined,
): Promise<void> {
  const now = await executable.probation();
  if (now === undefined || now.update !== update) return;
  await executable.endProbation();
  log.info('the new updater has proven itself: it stays');
}
