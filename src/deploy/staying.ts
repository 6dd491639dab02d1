/** Files that an update finds and leaves where they are, by module and reason: for the log, and for whoever is asked before it (operations/forecast.ts). */
import { type List, loadPacking, type PackedList } from '../packed-list.ts';

/** In a sentence: `of module "web" stays what ...`. */
export const reasons = {
  edited: 'was edited since it was deployed',
  foreign: 'was not deployed by an update',
  colliding: 'stands where the new one would be put beside an edited file',
  config: 'is what people edit',
  kept: 'the manifest keeps',
  changed: 'is not what was deployed there',
  mounted: 'lies on another filesystem, mounted there',
  others: "is not the package's",
  moved: 'is where the module was before',
} as const;

export type Reason = keyof typeof reasons;

export interface Staying {
  readonly module: string;
  readonly reason: Reason;
  readonly files: List<string>;
}

export interface StayingFiles {
  add(module: string, reason: Reason, path: string): void;
  readonly all: readonly Staying[];
}

/** Empty; it grows. */
export async function openStaying(): Promise<StayingFiles> {
  const packing = await loadPacking();
  const all: (Staying & { readonly files: PackedList<string> })[] = [];
  return {
    all,
    add: (module, reason, path) => {
      let found = all.find((each) => each.module === module && each.reason === reason);
      if (found === undefined) {
        found = { module, reason, files: packing.list<string>() };
        all.push(found);
      }
      found.files.add(path);
    },
  };
}
