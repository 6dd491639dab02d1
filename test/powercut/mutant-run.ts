/**
 * Runs the broken variants of every scenario (log-mutants.ts) until each has been caught: for an fsync, by any scenario
 * in which that line of code syncs that kind of file.
 */
import { codeSite } from './code-site.ts';
import { type CutOptions, crashStates } from './crash-states.ts';
import { type Exploration, explore, recoverOn, type Subject } from './exploration.ts';
import { type Mutant, withEarlier, withoutChanges, withoutEachSync, withoutSyncs } from './log-mutants.ts';
import type { Recording } from './model-log.ts';
import { type PreparedScenario, prepareScenario } from './prepared-scenario.ts';
import { scenarios } from './scenarios.ts';

export interface MutantOptions {
  /** Failing states to count before a mutant is let go. */
  readonly failuresWanted: number;
  readonly seed: number;
  /** Recoveries per scenario whose own syncs are dropped, too. */
  readonly recoveries: number;
  /** Also looks at what is known to be harmless: does it still hold? */
  readonly tryKnown: boolean;
}

export interface MutantOutcome {
  readonly total: number;
  readonly caught: number;
  /** Not caught, and in the list of those for which no state can show it. */
  readonly known: number;
  /** Names of the mutants that no scenario caught and no reason excuses. */
  readonly survivors: readonly string[];
}

/**
 * Syncs without which no state breaks a promise, and why: each is a second line of defence or guards work, not a promise.
 * What survives and is not listed is a hole in the scenarios or a sync too many.
 */
const knownSurvivors: readonly { readonly name: RegExp; readonly why: string }[] = [
  { name: /\[staged\]/, why: 'nothing happens before the next record, whose fsync covers it' },
  {
    name: /\[stopping\]/,
    why: 'after a power cut the boot starts the programs; after a kill nothing is lost',
  },
  { name: /\[switching\]/, why: 'recovery also asks the disk which staged files are gone' },
  { name: /\[switched\]/, why: 'the switch can be repeated' },
  { name: /\[undone\]/, why: 'the undo can be repeated' },
  {
    name: /dropRecords < \S+ prunePastUpdates/,
    why: 'a record that comes back is still beyond those kept, and the start prunes again before it takes a command',
  },
  {
    name: /dropRecords < \S+ <anonymous>/,
    why: 'dropDeployed syncs the same directory right after; it does not where no record of what is deployed was kept',
  },
  { name: /readLeftoverJournal/, why: 'an empty journal that comes back is removed again' },
  {
    name: /directory tmp .*findWhatIsLeft/,
    why: 'a start that was cut before it did anything durable is not counted',
  },
  { name: /openPartFile|runner\.ts save < \S+ <anonymous>/, why: 'costs bytes of a download, no promise' },
  {
    name: /auditor\.ts publish/,
    why: 'a report: one that is torn or missing is written anew by the next audit',
  },
  { name: /durable-file\.ts writeDurably\)/, why: 'toInstall is reported again by each start' },
];

/** Runs all, or those that `shareOf` picks; `tell` gets one line for each, as soon as it is decided. */
export async function runMutants(
  options: MutantOptions,
  tell: (line: string) => void,
  shareOf: (names: readonly string[]) => readonly string[] = (names) => names,
): Promise<MutantOutcome> {
  const byName = new Map<string, MutantOfSource[]>();
  for (const one of await mutantsOfAll(options))
    byName.set(one.mutant.name, [...(byName.get(one.mutant.name) ?? []), one]);
  const names = shareOf([...byName.keys()]);
  const caught = new Set<string>();
  const alive = new Map<string, number>();
  const catches = new Map<Source, number>();
  // Most are caught within a few states by some scenario, and often by one that has caught others: those are tried first.
  for (const statesAtMost of [6, 30, Number.POSITIVE_INFINITY]) {
    alive.clear();
    for (const name of names) {
      if (caught.has(name)) continue;
      const occurrences = byName.get(name) ?? [];
      alive.set(name, 0);
      if (!options.tryKnown && reasonFor(name) !== undefined) continue;
      occurrences.sort((a, b) => (catches.get(b.source) ?? 0) - (catches.get(a.source) ?? 0));
      for (const occurrence of occurrences) {
        const found = await tryMutant(occurrence, options.failuresWanted, statesAtMost);
        const [first] = found.failures;
        alive.set(name, (alive.get(name) ?? 0) + found.states);
        if (first === undefined) continue;
        caught.add(name);
        alive.delete(name);
        catches.set(occurrence.source, (catches.get(occurrence.source) ?? 0) + 1);
        const count = `${found.failures.length} of ${found.states} states fail`;
        tell(`caught, ${count}: ${name}; ${occurrence.scenario}: ${first.why.split('\n')[0]}`);
        break;
      }
    }
  }
  const survivors: string[] = [];
  for (const [name, states] of alive) {
    const why = reasonFor(name);
    tell(
      `${states === 0 ? 'known as harmless' : `harmless in ${states} states`}: ${name}: ${why ?? 'NOT EXPLAINED'}`,
    );
    if (why === undefined) survivors.push(name);
  }
  const known = alive.size - survivors.length;
  return { total: caught.size + alive.size, caught: caught.size, known, survivors };
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

function reasonFor(name: string): string | undefined {
  return knownSurvivors.find((each) => each.name.test(name))?.why;
}

interface MutantOfSource {
  readonly mutant: Mutant;
  readonly source: Source;
  /** Its name. */
  readonly scenario: string;
}

async function mutantsOfAll(options: MutantOptions): Promise<MutantOfSource[]> {
  const all: MutantOfSource[] = [];
  for (const scenario of scenarios) {
    const prepared = await prepareScenario(scenario);
    for (const source of await sourcesOf(prepared, options))
      for (const mutant of mutantsOf(source, prepared)) all.push({ mutant, source, scenario: scenario.name });
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
  const cut = { metadata: 'weak', exhaustiveUpTo: 7, samples: 2, seed: options.seed } as const;
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

function mutantsOf({ recording, isRecovery }: Source, { scenario }: PreparedScenario): Mutant[] {
  const mutants = withoutEachSync(recording);
  if (scenario.act === 'download' || isRecovery) return mutants;
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
      (what) => /^fsync directory \/opt\//.test(what),
    ),
    ...mutants,
  ];
}
