/**
 * Runs the broken variants of scenarios (log-mutants.ts) until each has been caught: for an fsync, by any scenario
 * in which that line of code syncs that kind of file.
 */
import { codeSite } from './code-site.ts';
import { type CutOptions, crashStates } from './crash-states.ts';
import { type Exploration, explore, recoverOn, type Subject } from './exploration.ts';
import {
  type Mutant,
  withEarlier,
  withEarlierSyncs,
  withoutChanges,
  withoutEachSync,
  withoutSyncs,
} from './log-mutants.ts';
import type { Recording } from './model-log.ts';
import { type PreparedScenario, prepareScenario } from './prepared-scenario.ts';
import type { Scenario } from './scenarios.ts';

export interface MutantOptions {
  readonly scenarios: readonly Scenario[];
  /** Each fsync alone is dropped, or comes earlier, as well; else only all of a kind, the journal, and an order. */
  readonly eachSync: boolean;
  /** Failing states to count before a mutant is let go. */
  readonly failuresWanted: number;
  /** Which of the disks that a cut leaves are looked at. */
  readonly cut: Pick<CutOptions, 'exhaustiveUpTo' | 'eachMissingUpTo' | 'samples'>;
  readonly seed: number;
  /** Recoveries per scenario whose own syncs are dropped, too. */
  readonly recoveries: number;
}

export interface MutantOutcome {
  readonly total: number;
  readonly caught: number;
  /** Names of the mutants that no scenario caught: a hole in the scenarios, or a sync too many. */
  readonly survivors: readonly string[];
}

/** Most are caught within a few states by some scenario, and often by one that has caught others: those are tried first. */
const passes = [
  { scope: 'once', statesAtMost: 6 },
  { scope: 'once', statesAtMost: 30 },
  { scope: 'once', statesAtMost: Number.POSITIVE_INFINITY },
  { scope: 'always', statesAtMost: Number.POSITIVE_INFINITY },
] as const;

/** `tell` gets one line for each, as soon as it is decided. */
export async function runMutants(
  options: MutantOptions,
  tell: (line: string) => void,
): Promise<MutantOutcome> {
  const byName = new Map<string, MutantOfSource[]>();
  for (const one of await mutantsOfAll(options))
    byName.set(one.mutant.name, [...(byName.get(one.mutant.name) ?? []), one]);
  const names = [...byName.keys()];
  const caught = new Set<string>();
  const tried = new Map<string, number>();
  const catches = new Map<Source, number>();
  for (const { scope, statesAtMost } of passes) {
    for (const name of names) {
      if (caught.has(name)) continue;
      const occurrences = (byName.get(name) ?? []).filter(({ mutant }) => mutant.scope === scope);
      occurrences.sort((a, b) => (catches.get(b.source) ?? 0) - (catches.get(a.source) ?? 0));
      let states = 0;
      for (const occurrence of occurrences) {
        const found = await tryMutant(occurrence, options.failuresWanted, statesAtMost);
        states += found.states;
        tried.set(name, Math.max(states, tried.get(name) ?? 0));
        const [first] = found.failures;
        if (first === undefined) continue;
        caught.add(name);
        catches.set(occurrence.source, (catches.get(occurrence.source) ?? 0) + 1);
        const count = `${found.failures.length} of ${found.states} states fail`;
        const how = scope === 'always' ? ', left out each time' : '';
        tell(`caught, ${count}: ${name}${how}; ${occurrence.scenario}: ${first.why.split('\n')[0]}`);
        break;
      }
    }
  }
  const survivors = names.filter((name) => !caught.has(name));
  for (const name of survivors) tell(`NOT CAUGHT in ${tried.get(name) ?? 0} states: ${name}`);
  return { total: names.length, caught: caught.size, survivors };
}

function tryMutant(
  { mutant, source }: MutantOfSource,
  failuresWanted: number,
  statesAtMost: number,
): Promise<Exploration> {
  const { window } = mutant;
  return explore(mutant.recording, source.subject, {
    cut: { ...source.cut, known: new Set(source.known), ...(window && { window }) },
    nestedEvery: 0,
    nestedCut: source.cut,
    failuresWanted,
    statesAtMost,
  });
}

interface MutantOfSource {
  readonly mutant: Mutant;
  readonly source: Source;
  /** Its name. */
  readonly scenario: string;
}

async function mutantsOfAll(options: MutantOptions): Promise<MutantOfSource[]> {
  const all: MutantOfSource[] = [];
  for (const scenario of options.scenarios) {
    const prepared = await prepareScenario(scenario);
    for (const source of await sourcesOf(prepared, options))
      for (const mutant of mutantsOf(source, options)) all.push({ mutant, source, scenario: scenario.name });
  }
  return all;
}

/** What is mutated: the scenario itself, or a recovery on the way. */
interface Source {
  readonly recording: Recording;
  readonly subject: Subject;
  readonly cut: CutOptions;
  /** States of the sound program: they are looked at elsewhere, only what is new with the mutant counts. */
  readonly known: ReadonlySet<string>;
  readonly isRecovery: boolean;
}

async function sourcesOf(prepared: PreparedScenario, options: MutantOptions): Promise<Source[]> {
  const cut = { ...options.cut, metadata: 'weak', seed: options.seed } as const;
  const source = (recording: Recording, subject: Subject, isRecovery: boolean): Source => {
    const known = new Set<string>();
    for (const state of crashStates(recording, { ...cut, known })) known.add(state.key);
    return { recording, subject, cut, known, isRecovery };
  };
  const sources = [source(prepared.recording, prepared.subject, false)];
  const plain = { metadata: 'weak', exhaustiveUpTo: 0, samples: 0, seed: 1 } as const;
  const lossless = [...crashStates(prepared.recording, plain)].filter((state) => state.lost().length === 0);
  for (let index = 0; index < options.recoveries; index++) {
    const state = lossless[Math.floor(((index + 0.5) * lossless.length) / options.recoveries)];
    if (state === undefined) continue;
    const { recovery } = await recoverOn(state.state, state.marks, prepared.subject, codeSite);
    const again: Subject = (disk, marks) => prepared.subject(disk, [...state.marks, ...marks]);
    sources.push(source(recovery, again, true));
  }
  return sources;
}

function mutantsOf({ recording, isRecovery }: Source, { eachSync }: MutantOptions): Mutant[] {
  const mutants = eachSync ? [...withoutEachSync(recording), ...withEarlierSyncs(recording)] : [];
  const happens = (what: RegExp) =>
    recording.steps.some((step) => step.kind === 'change' && what.test(step.what));
  const isWhole =
    happens(/^open .*\/backups\/journal$/) && happens(/^(rename|unlink) .*\/backups\/journal( |$)/);
  if (isRecovery || !isWhole) return mutants;
  const isJournal = (what: string) => what.includes('/backups/journal');
  const isDirectory = (what: string) => what.startsWith('fsync directory');
  return [
    withoutSyncs(recording, 'without any fsync', () => true),
    withoutSyncs(recording, 'without any fsync of a file', (sync) => !isDirectory(sync.what)),
    withoutSyncs(recording, 'without any fsync of a directory', (sync) => isDirectory(sync.what)),
    withoutSyncs(recording, 'without any fsync of the journal', (sync) => isJournal(sync.what)),
    withoutChanges(recording, 'without the journal', isJournal),
    withEarlier(
      recording,
      'the journal goes before the directories are synced',
      (what) => /^(rename|unlink) .*\/backups\/journal/.test(what),
      (what) => /^(fsync directory \/opt\/|syncfs )/.test(what),
    ),
    ...mutants,
  ];
}
