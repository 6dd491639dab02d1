/**
 * `backups/history.jsonl`: one JSON line for each operation that ended, oldest first. Rewritten whole and durably for each
 * entry, which is there once however often it is added; a line that cannot be read is dropped.
 */
import { posix } from 'node:path';
import * as v from 'valibot';
import { errno, type UpdateError } from '../errors.ts';
import { type HistoryEntry, HistoryEntrySchema } from '../history.ts';
import { readWhole, removeIfThere, writeDurably } from '../host/durable-file.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { type Plan, summaryOf } from './plan.ts';

/** Oldest first; empty where there is none or where it cannot be read. */
export async function readHistory(files: Files, backupDirectory: string): Promise<HistoryEntry[]> {
  const bytes = await readHistoryFile(files, backupDirectory);
  return Buffer.from(bytes)
    .toString('utf8')
    .split('\n')
    .flatMap((line) => parseEntry(line) ?? []);
}

/** Adds an entry durably, in the place of one with its id. The oldest beyond limits.historyEntries go, but never the last success. */
export async function addToHistory(
  files: Files,
  backupDirectory: string,
  entry: HistoryEntry,
): Promise<void> {
  const earlier = (await readHistory(files, backupDirectory)).filter(({ id }) => id !== entry.id);
  const all = [...earlier, entry];
  const kept = all.slice(-limits.historyEntries);
  const success = lastSuccess(all);
  if (success !== undefined && !kept.includes(success)) kept.unshift(success);
  const text = kept.map((one) => `${JSON.stringify(one)}\n`).join('');
  await writeDurably(files, historyPath(backupDirectory), Buffer.from(text));
}

/** Of a transaction that ended at `endedMs`. `download`: what its package took, where it was downloaded. */
export function entryOfPlan(
  plan: Plan,
  error: UpdateError | null,
  endedMs: number,
  download?: HistoryEntry['download'],
): HistoryEntry {
  return {
    id: plan.id,
    kind: plan.kind,
    version: plan.version,
    previous_version: plan.previousVersion,
    started_at: new Date(plan.startedMs).toISOString(),
    ended_at: new Date(endedMs).toISOString(),
    outcome: error === null ? 'success' : 'failed',
    error: error?.message ?? null,
    bytes: summaryOf(plan).bytes,
    modules: plan.modules,
    ...(plan.removed === undefined ? {} : { removed: plan.removed }),
    ...(download === undefined ? {} : { download }),
    ...(plan.beside === undefined || error !== null ? {} : { put_beside: plan.beside }),
    ...(plan.notBeside === undefined || error !== null ? {} : { not_put_beside: plan.notBeside }),
    ...(plan.action === undefined ? {} : { fleet_action: plan.action }),
  };
}

/** Removes what a write that found the disk full, or a cut, has left. */
export async function removeHistoryScratch(files: Files, backupDirectory: string): Promise<void> {
  await removeIfThere(files, `${historyPath(backupDirectory)}.new`);
}

/** Its version is the installed one. Undefined where nothing was ever installed, or where the history is lost. */
export function lastSuccess(history: readonly HistoryEntry[]): HistoryEntry | undefined {
  return history.findLast((entry) => entry.outcome === 'success');
}

/** A file that is none (a planted symlink) or far too large counts as empty; the next entry replaces it. */
async function readHistoryFile(files: Files, backupDirectory: string): Promise<Uint8Array> {
  try {
    return (await readWhole(files, historyPath(backupDirectory), limits.historyBytes)) ?? new Uint8Array();
  } catch (thrown) {
    if (errno(thrown) === 'EINVAL' || errno(thrown) === 'EFBIG') return new Uint8Array();
    throw thrown;
  }
}

function historyPath(backupDirectory: string): string {
  return posix.join(backupDirectory, 'history.jsonl');
}

function parseEntry(line: string): HistoryEntry | undefined {
  try {
    const entry = v.parse(HistoryEntrySchema, JSON.parse(line));
    // 0.1.0 wrote this where the first update was taken back.
    const isNothing = entry.kind === 'rollback' && entry.version === '0.0.0';
    return isNothing ? { ...entry, version: null } : entry;
  } catch {
    return undefined;
  }
}
