/** What must be true of a device whose updater was to replace itself, once it is at rest, whenever the power went before. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { HistoryEntry } from '../../src/history.ts';
import type { Stage } from '../../src/updater/state.ts';
import { newVersion } from '../fixtures/new-updaters.ts';
import { treeOnDisk } from './disk-tree.ts';
import { difference, type Tree } from './model-tree.ts';
import { executableOf, oldVersion, type SelfDevice } from './self-device.ts';
import type { Supervised } from './supervised.ts';

/** What the outside world has seen. */
export type Told = 'accepted' | 'shown success' | 'shown failed' | 'reported success' | 'reported failed';

/** How the recorded update ended, undisturbed. */
export interface Undisturbed {
  readonly tree: Tree;
  /** Below the work directory, ID in the place of ids. */
  readonly names: readonly string[];
  /** The oldest first. */
  readonly history: readonly string[];
}

export interface Rest {
  /** `waiting`: nobody had asked for the update yet. */
  readonly is: 'old' | 'new' | 'waiting';
  readonly found: Undisturbed;
}

/** How it rests, where all of it says the same; else what is not so, or not yet. `undisturbed`: undefined in the run that makes it. */
export async function restOf(
  device: SelfDevice,
  supervised: Supervised,
  told: ReadonlySet<Told>,
  undisturbed: Undisturbed | undefined,
): Promise<Rest | string> {
  const stage = (await supervised.get<{ stage: Stage }>('/api/v1.0/progress'))?.stage;
  const entries = (await supervised.get<{ updates: HistoryEntry[] }>('/api/v1.0/history'))?.updates;
  const runs = (await supervised.get<{ version: string }>('/healthz'))?.version;
  if (stage === undefined || entries === undefined || runs === undefined) return 'nobody answers';
  const isWaiting = stage === 'toInstall' && !told.has('accepted') && entries.length === 0;
  const end = isWaiting ? 'waiting' : device.kind.ends;
  const set = end === 'new' ? 'new' : 'old';
  const stands = await updaterThatStands(device);
  if (stands !== set || runs !== { old: oldVersion, new: newVersion }[set])
    return `it should be ${end}: ${runs} runs, what stands is ${stands}`;
  const history = entries.map(inWords).reverse();
  const names = await namesIn(device.workDirectory).catch(() => undefined);
  if (names === undefined) return 'files come and go';
  const untrue = isWaiting
    ? undefined
    : (wrongStage(set, stage, told) ??
      wrongHistory(device, entries, history, undisturbed) ??
      (await wrongPrevious(device)));
  if (untrue !== undefined) return untrue;
  const strays = names.filter((name) => !mayStand(name, end, undisturbed));
  if (strays.length > 0) return `left in the work directory: ${strays.join(', ')}`;
  const tree = await treeOnDisk(device.allowedRoot);
  const due = set === 'old' ? device.oldTree : (undisturbed?.tree ?? tree);
  const different = difference(due, tree);
  if (different.length > 0) return `it is not all ${set}:\n       ${different.join('\n       ')}`;
  return { is: end, found: { tree, names, history } };
}

/** The set whose executable stands, whole, under its name; or what stands there. */
export async function updaterThatStands(device: SelfDevice): Promise<string> {
  const path = executableOf(device);
  const bytes = await readFile(path).catch(() => undefined);
  if (bytes === undefined) return 'nothing';
  const mode = (await stat(path)).mode & 0o7777;
  if (mode !== 0o755) return `of mode ${mode.toString(8)}`;
  if (bytes.equals(device.updaters.old)) return 'old';
  return bytes.equals(device.updaters.new) ? 'new' : `${bytes.length} bytes, neither old nor new`;
}

/** What was told that is not true in the end; undefined: nothing. */
export function toldWrongly({ kind }: SelfDevice, told: ReadonlySet<Told>): string | undefined {
  if (kind.ends === 'old' && kind.commits) return undefined;
  const other = kind.ends === 'new' ? 'failed' : 'success';
  return [...told].find((each) => each.endsWith(other));
}

function wrongStage(set: 'old' | 'new', stage: Stage, told: ReadonlySet<Told>): string | undefined {
  const outcome = set === 'new' ? 'success' : 'failed';
  if (stage !== outcome && stage !== 'idle') return `the stage is ${stage}`;
  return told.has(`reported ${outcome}`) ? undefined : `device-api was not told of ${outcome}`;
}

function wrongHistory(
  { kind }: SelfDevice,
  entries: readonly HistoryEntry[],
  history: readonly string[],
  undisturbed: Undisturbed | undefined,
): string | undefined {
  // What has committed is taken back by a rollback, which succeeds; why, it says, too.
  const last = kind.ends === 'new' || kind.commits ? 'success' : 'failed';
  const outcomes = kind.commits && kind.ends === 'old' ? ['success', last] : [last];
  const isDue =
    undisturbed === undefined
      ? entries.map(({ outcome }) => outcome).join() === outcomes.join()
      : history.join() === undisturbed.history.join();
  if (!isDue)
    return `the history is: ${history.join(', ')}; due: ${undisturbed?.history.join(', ') ?? outcomes.join(', ')}`;
  const error = String(entries[0]?.error);
  return kind.error === undefined || kind.error.test(error) ? undefined : `the history says ${error}`;
}

async function wrongPrevious(device: SelfDevice): Promise<string | undefined> {
  const bytes = await readFile(`${executableOf(device)}.previous`).catch(() => undefined);
  return bytes === undefined || bytes.equals(device.updaters.old)
    ? undefined
    : '.previous is not the one before';
}

/** The names at an undisturbed end; another name of what stands, which takes no room; and what an open report or state needs. */
function mayStand(name: string, end: Rest['is'], undisturbed: Undisturbed | undefined): boolean {
  if (/^(tmp\/(outbox|state)\.json|backups\/[^/]*\.jsonl)$/.test(name)) return true;
  if (name === 'tope-updater.previous') return end === 'old' || (undisturbed?.names.includes(name) ?? true);
  if (end === 'waiting') return !/probation|journal/.test(name);
  return undisturbed === undefined ? name !== 'backups/journal' : undisturbed.names.includes(name);
}

function inWords({ kind, version, outcome, updater }: HistoryEntry): string {
  return `${kind} to ${version}: ${outcome}, by ${updater}`;
}

/** Below the work directory, ID in the place of ids; without the log and the lock. */
async function namesIn(directory: string): Promise<string[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  return found
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .map((name) => name.replace(/\d{8}T\d{9}Z/g, 'ID'))
    .filter((name) => !/^(logs\/|lock$|lock\/)/.test(name))
    .sort();
}
