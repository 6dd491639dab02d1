/**
 * The file part of a recovery, at boot, before any service: a switch that was cut is finished or taken back, by the daemon's own
 * decision, which goes on from there. When it resolves, the files are all old or all new; it starts and stops nothing, may be
 * cut anywhere, and has written its decision down before a file changes.
 */
import { posix } from 'node:path';
import type { Journal } from '../deploy/journal.ts';
import { continueJournal } from '../deploy/journal-file.ts';
import type { OwnExecutable } from '../deploy/probation.ts';
import { switchTargets } from '../deploy/switch.ts';
import { restoreTargets } from '../deploy/undo.ts';
import { isUntouched } from '../deploy/untouched.ts';
import { asUpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { decideRecovery } from './recover.ts';
import { countStart, readLeftoverJournal, trialOf } from './startup.ts';
import { createStore } from './store.ts';
import { momentOf } from './waiting.ts';

export type RecoverHost = Pick<Host, 'files' | 'clock' | 'log'>;

/** What was done to the files: nothing, finished, or taken back. Rejects where that failed: then the set may be mixed. */
export async function recoverFiles(
  host: RecoverHost,
  workDirectory: string,
  executable?: Pick<OwnExecutable, 'probation' | 'isFallback'>,
): Promise<'nothing' | 'finished' | 'undone'> {
  const backups = posix.join(workDirectory, 'backups');
  const leftover = await readLeftoverJournal(host.files, backups);
  if (leftover.kind !== 'journal') return 'nothing';
  const { journal } = leftover;
  const trial = await trialOf(executable, leftover);
  const saved = await createStore(host, workDirectory).load();
  const decision = decideRecovery({
    saved: countStart(saved),
    journal: journal.state,
    trial,
    isEnding: journal.error !== undefined,
    damage: undefined,
    packageThere: true,
    now: momentOf(host.clock),
  });
  host.log.info(`before the services start: journal ${journal.state}: ${decision.do}`);
  if (decision.do === 'forward') return goForward(host, backups, journal);
  if (decision.do !== 'undo' || journal.state === 'undone' || (await isUntouched(host, journal)))
    return 'nothing';
  // A new updater that has failed is not tried again; anything else may be.
  const why = trial === 'failed' ? decision.error.message : undefined;
  await goBack(host, backups, journal, journal.error ?? why);
  return 'undone';
}

async function goForward(
  host: RecoverHost,
  backups: string,
  journal: Journal,
): Promise<'nothing' | 'finished' | 'undone'> {
  if (journal.state !== 'switching') return 'nothing';
  const file = await continueJournal(host.files, backups, journal);
  try {
    await switchTargets(host, journal.plan);
    await file.append({ state: 'switched' });
    return 'finished';
  } catch (thrown) {
    const error = asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'finishing the switch');
    host.log.error(`${error.message}; everything is put back`);
    await file.append({ state: 'undoing', error: error.message });
    await takeBack(host, journal);
    return 'undone';
  } finally {
    await file.close();
  }
}

async function goBack(host: RecoverHost, backups: string, journal: Journal, error?: string): Promise<void> {
  const file = await continueJournal(host.files, backups, journal);
  try {
    if (journal.state !== 'undoing')
      await file.append({ state: 'undoing', ...(error === undefined ? {} : { error }) });
    await takeBack(host, journal).catch(() => takeBack(host, journal));
  } finally {
    await file.close();
  }
}

/** What cannot come back is the daemon's to tell: it takes the same back once more. */
async function takeBack(host: RecoverHost, { plan }: Journal): Promise<void> {
  const unrestored = await restoreTargets(host, plan);
  if (unrestored !== undefined) host.log.error(unrestored.message);
}
