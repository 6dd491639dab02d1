/** The look around at a start: state.json, the journal and the files of tmp/, and what recover.ts makes of them. */

import { closeBackups } from '../deploy/closed-backup.ts';
import { removeHistoryScratch } from '../deploy/history-file.ts';
import type { Journal } from '../deploy/journal.ts';
import { journalPath, readJournal } from '../deploy/journal-file.ts';
import { prunePastUpdates } from '../deploy/past-updates.ts';
import type { OwnExecutable } from '../deploy/probation.ts';
import { partName } from '../download/download.ts';
import { packagePath } from '../download/request.ts';
import { tailName } from '../download/tail-file.ts';
import { asUpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { type Decision, decideRecovery, type Found } from './recover.ts';
import { endStaleProbation } from './stale-probation.ts';
import type { Saved, Store } from './store.ts';
import { momentOf } from './waiting.ts';
import { removeLeftovers } from './work-files.ts';

/** Where the start looks. */
export interface Places {
  readonly tmp: string;
  readonly backups: string;
  readonly executable: OwnExecutable | undefined;
}

export interface WhatIsLeft {
  readonly saved: Saved | undefined;
  readonly decision: Decision;
  /** What the decision is about, where it is `forward` or `undo`. */
  readonly journal: Journal | undefined;
  /** Starts that found this install unfinished, this one included. */
  readonly installStarts: number;
}

/** Looks, counts this start where an install is unfinished (durably), and removes what belongs to nothing. */
export async function findWhatIsLeft(
  host: Host,
  store: Store,
  { tmp, backups, executable }: Places,
): Promise<WhatIsLeft> {
  await closeBackups(host.files, backups);
  let saved = await store.load();
  const counted = countStart(saved);
  if (counted !== undefined && counted !== saved) await store.save(counted);
  saved = counted;
  const leftover = await readLeftoverJournal(host.files, backups);
  // Before an install goes on, which would be refused as long as it is there.
  await endStaleProbation(host, backups, executable);
  const decision = decideRecovery({
    saved,
    journal: leftover.kind === 'journal' ? leftover.journal.state : leftover.kind,
    trial: await trialOf(executable, leftover),
    isEnding: leftover.kind === 'journal' && leftover.journal.error !== undefined,
    damage: leftover.kind === 'damaged' ? leftover.why : undefined,
    packageThere:
      saved?.operation === 'update' &&
      (await host.files.stat(packagePath(tmp, saved.package_name))) !== undefined,
    now: momentOf(host.clock),
  });
  host.log.info(
    `start: saved stage ${saved?.stage ?? 'none'}, journal ${leftover.kind === 'journal' ? leftover.journal.state : leftover.kind}: ${decision.do}`,
  );
  await removeLeftovers(host, tmp, filesToKeep(saved, decision));
  await removeHistoryScratch(host.files, backups);
  if (leftover.kind === 'none') await prunePastUpdates(host.files, backups); // a cut may have come before it
  const journal = leftover.kind === 'journal' ? leftover.journal : undefined;
  return { saved, decision, journal, installStarts: saved?.install_starts ?? 0 };
}

/** The saved state with this start counted if an install is unfinished; the one after a restart that the update asked for is not. */
export function countStart(saved: Saved | undefined): Saved | undefined {
  if (saved?.stage === 'rebooting') return { ...saved, stage: 'installing' };
  return saved?.stage === 'installing' ? { ...saved, install_starts: saved.install_starts + 1 } : saved;
}

/** What the launcher's files say of the journal's transaction. */
export async function trialOf(
  executable: Pick<OwnExecutable, 'probation' | 'isFallback'> | undefined,
  leftover: LeftoverJournal,
): Promise<Found['trial']> {
  const probation = await executable?.probation();
  if (executable === undefined || probation === undefined) return 'none';
  if (leftover.kind === 'none') return executable.isFallback() ? 'failed' : 'none';
  if (leftover.kind === 'damaged' || probation.update !== leftover.journal.plan.id) return 'none';
  return executable.isFallback() ? 'failed' : 'running';
}

export type LeftoverJournal =
  | { readonly kind: 'none' }
  | { readonly kind: 'damaged'; readonly why: string }
  | { readonly kind: 'journal'; readonly journal: Journal };

/** A journal whose first record is torn announced nothing that was done: it is removed, unsynced, and counts as none. */
export async function readLeftoverJournal(files: Files, backups: string): Promise<LeftoverJournal> {
  const path = journalPath(backups);
  if ((await files.stat(path)) === undefined) return { kind: 'none' };
  try {
    const decoded = await readJournal(files, path);
    if (decoded.kind !== 'empty') return decoded;
  } catch (thrown) {
    return { kind: 'damaged', why: asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'reading it').message };
  }
  await files.remove(path);
  return { kind: 'none' };
}

function filesToKeep(saved: Saved | undefined, decision: Decision): Set<string> {
  if (saved?.operation !== 'update') return new Set();
  const partial = [partName(saved), tailName(saved)];
  switch (decision.do) {
    case 'rest':
    case 'expire':
      return new Set();
    case 'restWithPartial':
    case 'fail':
      return new Set(partial);
    case 'download':
    case 'wait':
    case 'install':
    case 'forward':
    case 'undo':
    case 'block':
      return new Set([...partial, saved.package_name]);
    default:
      return decision satisfies never;
  }
}
