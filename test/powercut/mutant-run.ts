/**
 * Runs the broken variants of every scenario (log-mutants.ts) until each has been caught: for an fsync, by any scenario
 * in which that line of code syncs that kind of file.
 */
import { crashStates } from './crash-states.ts';
import { explore } from './exploration.ts';
import { type Mutant, withEarlier, withoutChanges, withoutEachSync, withoutSyncs } from './log-mutants.ts';
import { type PreparedScenario, prepareScenario } from './prepared-scenario.ts';
import { scenarios } from './scenarios.ts';

export interface MutantOptions {
  /** Failing states to count before a mutant is let go. */
  readonly failuresWanted: number;
  readonly seed: number;
}

export interface MutantOutcome {
  readonly total: number;
  /** Names of the mutants that no scenario caught. */
  readonly survivors: readonly string[];
}

/**
 * Syncs without which nothing that was promised is lost, and why they are there all the same. Everything else that
 * survives is a failure of the test or a sync too many.
 */
export const knownSurvivors: readonly { readonly name: RegExp; readonly why: string }[] = [];

/** Runs all; `tell` gets one line for each, as soon as it is decided. */
export async function runMutants(
  options: MutantOptions,
  tell: (line: string) => void,
): Promise<MutantOutcome> {
  const caught = new Set<string>();
  const alive = new Map<string, number>();
  for (const scenario of scenarios) {
    const prepared = await prepareScenario(scenario);
    const cut = { metadata: 'weak', exhaustiveUpTo: 7, samples: 2, seed: options.seed } as const;
    // What the sound program can leave behind is looked at elsewhere; only what is new with the mutant counts here.
    const known = new Set<string>();
    for (const state of crashStates(prepared.recording, { ...cut, known })) known.add(state.key);
    for (const mutant of mutantsOf(prepared)) {
      if (caught.has(mutant.name)) continue;
      const found = await explore(mutant.recording, prepared.subject, {
        cut: { ...cut, known: new Set(known) },
        nestedEvery: 0,
        nestedCut: cut,
        failuresWanted: options.failuresWanted,
      });
      const [first] = found.failures;
      if (first === undefined) {
        alive.set(mutant.name, (alive.get(mutant.name) ?? 0) + found.states);
        continue;
      }
      caught.add(mutant.name);
      alive.delete(mutant.name);
      const why = first.why.split('\n')[0];
      tell(
        `caught by ${found.failures.length} of ${found.states} states: ${mutant.name} [${scenario.name}: ${why}]`,
      );
    }
  }
  const survivors: string[] = [];
  for (const [name, states] of alive) {
    const known = knownSurvivors.find((each) => each.name.test(name));
    tell(`not caught in ${states} states: ${name}${known === undefined ? '' : ` (${known.why})`}`);
    if (known === undefined) survivors.push(name);
  }
  return { total: caught.size + alive.size, survivors };
}

function mutantsOf({ recording, scenario }: PreparedScenario): Mutant[] {
  const mutants = withoutEachSync(recording);
  if (scenario.act === 'download') return mutants;
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
