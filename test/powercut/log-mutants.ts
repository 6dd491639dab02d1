/**
 * Broken variants of a program, made from the recording of the good one: what it would have done to the disk without
 * this fsync, without the journal, with two steps swapped. The program itself never sees the difference (an fsync has no
 * result, and what was written is read back from memory), so the log is all that has to change.
 */
import { deviceOf, type Window } from './crash-states.ts';
import type { Recording, Step } from './model-log.ts';

export interface Mutant {
  readonly name: string;
  /** An fsync is left out once, or each time that this line of code asks for it: its next one may make up for the last. */
  readonly scope: 'once' | 'always';
  readonly recording: Recording;
  /** Where it can leave other disks behind than the sound program; undefined: anywhere. */
  readonly window: Window | undefined;
}

/**
 * One mutant for each fsync in the recording, that one left out, named for what it syncs and the code that asks for it; and
 * one for each line of code that asks more than once, all of them left out. Those of programs (no site) are not ours.
 */
export function withoutEachSync(recording: Recording): Mutant[] {
  const syncs = recording.steps.flatMap((step, at) => {
    if (!isSync(step) || step.site === '') return [];
    const record = journalState(recording.steps.slice(Math.max(0, at - 2), at));
    return [{ step, at, name: `without ${syncName(step)}${record === undefined ? '' : ` [${record}]`}` }];
  });
  const once = syncs.map(({ step, at, name }): Mutant => {
    // The next sync of the same forces all that this one would have.
    const next = recording.steps.findIndex((later, index) => index > at && forcesAllOf(later, step));
    const window = { from: at, to: next < 0 ? recording.steps.length : next - 1 };
    const steps = recording.steps.toSpliced(at, 1);
    return { name, scope: 'once', recording: withSteps(recording, steps), window };
  });
  const always = [...new Set(syncs.map(({ name }) => name))].flatMap((name): Mutant[] => {
    const all = syncs.filter((sync) => sync.name === name);
    const [first, second] = all;
    if (first === undefined || second === undefined) return [];
    const dropped = new Set<Step>(all.map(({ step }) => step));
    const steps = recording.steps.filter((step) => !dropped.has(step));
    const window = { from: first.at, to: steps.length };
    return [{ name, scope: 'always', recording: withSteps(recording, steps), window }];
  });
  return [...once, ...always];
}

/**
 * One mutant for each time that a filesystem is synced as a whole, too early: before the last content that it is to make durable,
 * or where it is all about names before the last that something is renamed to, else before the last of them.
 * (What is only removed a later start removes as well.)
 */
export function withEarlierSyncs(recording: Recording): Mutant[] {
  return recording.steps.flatMap((step, at): Mutant[] => {
    if (step.kind !== 'syncAll' || step.site === '') return [];
    const since = recording.steps.findLastIndex((earlier, index) => index < at && forcesAllOf(earlier, step));
    const changes = recording.steps.flatMap((earlier, index) => {
      const isCovered = index > since && index < at && earlier.kind === 'change';
      return isCovered && deviceOf(recording, earlier.operation) === step.device
        ? [{ index, isData: earlier.operation.kind === 'data', isRename: earlier.what.startsWith('rename ') }]
        : [];
    });
    const renamed = changes.findLast(({ isRename }) => isRename);
    const last = (changes.findLast(({ isData }) => isData) ?? renamed ?? changes.at(-1))?.index;
    if (last === undefined) return [];
    const steps = recording.steps.toSpliced(at, 1).toSpliced(last, 0, step);
    const window = { from: last, to: recording.steps.length };
    const name = `too early, ${syncName(step)}`;
    return [{ name, scope: 'once', recording: withSteps(recording, steps), window }];
  });
}

type Sync = Extract<Step, { kind: 'sync' | 'syncAll' }>;

function isSync(step: Step): step is Sync {
  return step.kind === 'sync' || step.kind === 'syncAll';
}

function forcesAllOf(later: Step, sync: Sync): boolean {
  if (sync.kind === 'syncAll') return later.kind === 'syncAll' && later.device === sync.device;
  return later.kind === 'sync' && later.inode === sync.inode && (sync.dataOnly || !later.dataOnly);
}

/** The same for the same code and the same kind of file, whatever the scenario: no ids, no target paths. */
function syncName(sync: Sync): string {
  const what = sync.what
    .replace(/\/(opt|var\/lib)\/tope\/.*\.tope-[^/]*$/, 'staged file')
    .replace(/^(fsync directory) (\/opt\/tope.*|\/var\/lib\/tope$)/, '$1 of targets')
    .replace(/(backups\/)[^/]*\.\d{8}T\d{9}Z\.bak.*/, '$1...bak')
    .replace(/\d{8}T\d{9}Z/g, 'ID')
    .replace(/\/var\/lib\/tope\//, '');
  return `${what} (${sync.site})`;
}

/** The state that a record written to the journal announces: in one step, or in two where it goes over the end of a block. */
function journalState(before: readonly Step[]): string | undefined {
  const parts = before.map((step) =>
    step.kind === 'change' && step.operation.kind === 'data' ? step.operation.bytes.toString('latin1') : '',
  );
  const [first = '', last = ''] = parts.length > 1 ? parts : ['', ...parts];
  for (const text of last === '' ? [] : [last, first + last]) {
    const record = /^[0-9a-f]{64} \{"state":"(\w+)"(,"begun":)?/.exec(text);
    if (record !== null) return record[2] === undefined ? record[1] : 'commands begin';
  }
  return undefined;
}

/** Leaves out every fsync that `isDropped` names. */
export function withoutSyncs(recording: Recording, name: string, isDropped: (sync: Sync) => boolean): Mutant {
  const steps = recording.steps.filter((step) => !isSync(step) || !isDropped(step));
  return { name, scope: 'once', recording: withSteps(recording, steps), window: undefined };
}

/** Nothing that `isDropped` names reaches the disk. */
export function withoutChanges(
  recording: Recording,
  name: string,
  isDropped: (what: string) => boolean,
): Mutant {
  const steps = recording.steps.filter((step) => step.kind !== 'change' || !isDropped(step.what));
  return { name, scope: 'once', recording: withSteps(recording, steps), window: undefined };
}

/** The last step that `isMoved` names happens before the first one that `isOvertaken` names, wherever that is earlier. */
export function withEarlier(
  recording: Recording,
  name: string,
  isMoved: (what: string) => boolean,
  isOvertaken: (what: string) => boolean,
): Mutant {
  const what = (step: Step) => (step.kind === 'mark' ? '' : step.what);
  const from = recording.steps.findLastIndex((step) => isMoved(what(step)));
  const to = recording.steps.findIndex((step) => isOvertaken(what(step)));
  const moved = recording.steps[from];
  if (moved === undefined || to < 0 || to >= from) throw new Error(`${name}: no such order in the recording`);
  const steps = recording.steps.toSpliced(from, 1).toSpliced(to, 0, moved);
  return { name, scope: 'once', recording: withSteps(recording, steps), window: undefined };
}

function withSteps(recording: Recording, steps: readonly Step[]): Recording {
  return { ...recording, steps };
}
