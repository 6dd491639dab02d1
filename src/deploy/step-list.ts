/** The steps of a plan as they are made or read back: packed, with their summary. */
import { loadPacking } from '../packed-list.ts';
import { type DirectoryStep, newSummary, type Step, type Steps } from './plan.ts';

export interface StepList {
  add(step: Step): void;
  /** Goes before all that add() takes, behind its like. */
  addFirst(step: DirectoryStep): void;
  readonly steps: Steps;
}

/** An empty list, which grows. */
export async function openSteps(): Promise<StepList> {
  const list = (await loadPacking()).list<Step>();
  const first: DirectoryStep[] = [];
  const { summary, add } = newSummary();
  return {
    add: (step) => {
      list.add(step);
      add(step);
    },
    addFirst: (step) => {
      first.push(step);
      add(step);
    },
    steps: {
      get length() {
        return first.length + list.length;
      },
      summary,
      at: (index) => (index < first.length ? first[index] : list.at(index - first.length)),
      *[Symbol.iterator]() {
        yield* first;
        yield* list;
      },
    },
  };
}
