/**
 * What must be true of a device after any power cut and the restart that followed, whatever the product thinks of itself:
 * the targets are all old or all new, promises made before the cut hold, nothing is left over, services run.
 */
import { limits } from '../../src/limits.ts';
import type { Stage } from '../../src/updater/state.ts';
import { executablePath, updaterBefore, wrongUpdater } from './launcher.ts';
import { livesOf } from './lives.ts';
import { wrongDatabase } from './migration.ts';
import type { ModelState } from './model-state.ts';
import { bytesAt, difference, standing, type Tree, textAt, treeOf } from './model-tree.ts';
import { lostFrom, versionOf, wrongOwnFile } from './own-file.ts';
import { wrongRecord } from './record-verdict.ts';
import { fetchedAgain, partsAskedAgain, rebootedAgain, startedTooOften } from './repetition-verdict.ts';
import { versionBefore } from './scenario-packages.ts';
import type { Scenario } from './scenarios.ts';
import { allowedRoot, workDirectory } from './session.ts';

export interface Facts {
  readonly scenario: Scenario;
  readonly oldTree: Tree;
  readonly newTree: Tree;
  /** Where the daemon came to rest. */
  readonly stage: Stage;
  readonly packageBytes: Buffer | undefined;
  /** What runs at the end. */
  readonly programs: readonly (readonly string[])[];
}

/** A mark: a file call failed, so that state.json may have been moved aside as unreadable. */
export const diskFault = 'faulty disk';

const updatesKept = 3;

/** The first thing that is wrong, or undefined. `marks`: all that was shown and reported, before and after the cut. */
export function verdict(facts: Facts, state: ModelState, marks: readonly string[]): string | undefined {
  const { ownFile, cutBefore } = facts.scenario;
  const deployed = (tree: Tree) => new Map([...tree].filter(([path]) => path !== ownFile));
  const tree = deployed(treeOf(state, allowedRoot));
  const fromOld = difference(deployed(facts.oldTree), tree);
  const fromNew = difference(deployed(facts.newTree), tree);
  if (fromOld.length > 0 && fromNew.length > 0)
    return `neither old nor new:\n  old: ${fromOld.join('\n       ')}\n  new: ${fromNew.join('\n       ')}`;
  const isNew = fromNew.length === 0 && facts.scenario.ends !== 'old';
  return (
    brokenPromise(facts, isNew, marks) ??
    tornPackage(facts, state) ??
    leftovers(facts, state, marks) ??
    hollowRecord(state) ??
    (isNew ? wrongBackups(facts, state, marks) : undefined) ??
    wrongRecord(state, deployedVersion(facts.scenario, isNew), {
      isDamaged: !isNew && isDamaged(facts.scenario),
      ownFile,
    }) ??
    wrongHistory(facts, state, isNew, marks) ??
    wrongPrograms(facts, state) ??
    (facts.scenario.newUpdater && wrongUpdater(state, isNew)) ??
    (ownFile && wrongOwnFile(state, ownFile, standingVersion(facts.scenario, isNew), marks)) ??
    (facts.scenario.migrates
      ? wrongDatabase(state, standingVersion(facts.scenario, isNew), versionBefore, marks)
      : undefined) ??
    fetchedAgain(marks) ??
    (facts.scenario.packing && partsAskedAgain(marks)) ??
    rebootedAgain(marks) ??
    (isNew ? startedTooOften(cutBefore, marks) : undefined)
  );
}

function isDamaged({ damage }: Scenario): boolean {
  return Object.keys(damage).length > 0;
}

/** Undefined: nothing that the updater installed. */
function deployedVersion({ act, earlier, package: wanted }: Scenario, isNew: boolean): string | undefined {
  if (!isNew || act === 'repair') return earlier.at(-1)?.version;
  return act === 'rollback' ? earlier.at(-2)?.version : wanted?.version;
}

function standingVersion(scenario: Scenario, isNew: boolean): string {
  return deployedVersion(scenario, isNew) ?? versionBefore;
}

function brokenPromise(facts: Facts, isNew: boolean, marks: readonly string[]): string | undefined {
  const said = (stage: Stage) => marks.some((mark) => mark.endsWith(` ${stage}`));
  const { act, thenDownload, ends, cutBefore } = facts.scenario;
  if (said('downloading') && facts.stage !== 'toInstall')
    return `the accepted download ended as ${facts.stage}`;
  if (
    facts.stage === 'toInstall' &&
    (act === 'download' || thenDownload) &&
    !marks.includes('reported toInstall')
  )
    return 'device-api never learns that the package waits';
  if (act === 'download') return undefined;
  const starts = cutBefore.length + livesOf(marks).length - 1;
  const mayGiveUp = starts >= limits.installStarts || marks.includes(diskFault);
  if (said('installing') && ends === 'new' && !isNew && !mayGiveUp)
    return `only the power was in its way, and the accepted ${act} was not carried out`;
  if (said('success') && !isNew) return 'success was told, the set is old';
  if (said('failed') && isNew) return 'failure was told, the set is new';
  if (isNew && !marks.includes('reported success')) return 'device-api never learns of the success';
  return undefined;
}

/** What was verified once is what waits. */
function tornPackage(facts: Facts, state: ModelState): string | undefined {
  if (facts.stage !== 'toInstall') return undefined;
  const waiting = bytesAt(state, `${workDirectory}/tmp/package.zip`);
  if (waiting === undefined) return 'toInstall, and there is no package';
  return facts.packageBytes?.equals(waiting) === true ? undefined : 'toInstall, and the package is torn';
}

/** What the work directory may hold when the daemon rests. */
function leftovers(facts: Facts, state: ModelState, marks: readonly string[]): string | undefined {
  const names = (directory: string) =>
    [...treeOf(state, `${workDirectory}/${directory}`).keys()].map((path) =>
      path.split('/').slice(5).join('/'),
    );
  // After a failure it stays for a look until the next start or download.
  const mayHoldPackage = facts.stage === 'toInstall' || facts.stage === 'failed';
  const inTmp = names('tmp').filter(
    (name) =>
      !['state.json', 'outbox.json'].includes(name) &&
      !(mayHoldPackage && name === 'package.zip') &&
      !(marks.includes(diskFault) && name === 'state.json.damaged'),
  );
  if (inTmp.length > 0) return `left in tmp/ at stage ${facts.stage}: ${inTmp.join(', ')}`;

  const inBackups = names('backups');
  const records = inBackups.flatMap((name) => /^(\d{8}T\d{9}Z)\.journal$/.exec(name)?.[1] ?? []);
  if (records.length > updatesKept) return `${records.length} updates kept: ${records.join(', ')}`;
  const strays = inBackups.filter((name) => {
    if (name === 'history.jsonl' || /^\d{8}T\d{9}Z\.(journal|deployed|zip)$/.test(name)) return false;
    const id = /\.(\d{8}T\d{9}Z)\.bak(\/|$)/.exec(name)?.[1];
    return id === undefined || !records.includes(id);
  });
  return strays.length > 0 ? `left in backups/ at stage ${facts.stage}: ${strays.join(', ')}` : undefined;
}

/** A past update that is offered for a rollback has all its backups. */
function hollowRecord(state: ModelState): string | undefined {
  const backups = treeOf(state, `${workDirectory}/backups`);
  for (const path of backups.keys()) {
    if (!/\/\d{8}T\d{9}Z\.journal$/.test(path)) continue;
    const missing = stepsOf(state, path).find((step) => step.backup != null && !backups.has(step.backup));
    if (missing !== undefined) return `${path} offers a rollback, and ${missing.backup} is gone`;
  }
  return undefined;
}

/** What an update that stands has replaced lies in its backups as it was: nothing else can bring it back later. */
function wrongBackups(
  { scenario, oldTree }: Facts,
  state: ModelState,
  marks: readonly string[],
): string | undefined {
  if (scenario.act !== 'update') return undefined;
  const backups = treeOf(state, `${workDirectory}/backups`);
  const newest = [...backups.keys()].filter((path) => /\/\d{8}T\d{9}Z\.journal$/.test(path)).at(-1);
  for (const { target, backup } of newest === undefined ? [] : stepsOf(state, newest)) {
    if (backup == null) continue;
    if (target === scenario.ownFile) {
      const saved = textAt(state, backup) ?? '';
      if (versionOf(saved) !== standingVersion(scenario, false)) return `${backup} holds ${saved}`;
      const lost = lostFrom(saved, backup, marks);
      if (lost !== undefined) return lost;
      continue;
    }
    if (target === executablePath && textAt(state, backup) === updaterBefore) continue;
    if (backups.get(backup) === oldTree.get(target)) continue;
    return `the backup of ${target} is ${backups.get(backup)}, it was ${oldTree.get(target)}`;
  }
  return undefined;
}

function stepsOf(
  state: ModelState,
  journal: string,
): readonly { readonly target: string; readonly backup?: string | null }[] {
  const text = textAt(state, journal) ?? '';
  return JSON.parse(text.slice(65, text.indexOf('\n'))).plan.steps;
}

/** The history says exactly what is on the disk, and device-api has heard of its last entry. */
function wrongHistory(
  facts: Facts,
  state: ModelState,
  isNew: boolean,
  marks: readonly string[],
): string | undefined {
  const { scenario } = facts;
  const lines = (textAt(state, `${workDirectory}/backups/history.jsonl`) ?? '')
    .split('\n')
    .filter((line) => line !== '');
  const entries = lines.map((line) => JSON.parse(line) as { kind: string; outcome: string; version: string });
  const ended = entries.slice(scenario.earlier.length);
  if (entries.length < scenario.earlier.length) return `the history lost entries: ${lines.join(' ')}`;
  const count = (outcome: string) => ended.filter((entry) => entry.outcome === outcome).length;
  const successes = count('success');
  if (!isNew && count('failed') > 0 && !marks.includes('reported failed'))
    return 'device-api never learns of the failure';
  if (isNew && successes !== 1) return `the set is new, the history: ${lines.join(' ')}`;
  if (!isNew && successes !== 0) return `the set is old, the history: ${lines.join(' ')}`;
  return undefined;
}

/** All run that stand, and nothing else. */
function wrongPrograms(facts: Facts, state: ModelState): string | undefined {
  const running = facts.programs.map((argv) => argv.join(' ')).sort();
  const expected = standing(state, allowedRoot, facts.scenario.programs)
    .map((argv) => argv.join(' '))
    .sort();
  return running.join() === expected.join()
    ? undefined
    : `running: ${running.join(', ')}; expected: ${expected.join(', ')}`;
}
