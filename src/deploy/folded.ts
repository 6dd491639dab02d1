/**
 * Filesystems on which `README` and `readme` are one file (vfat, exFAT, casefold). Two such names of a package are refused
 * before anything is done; a name of which only the case changes is a file that goes and one that comes. Nothing is asked where
 * no two names fold together.
 */
import { UpdateError } from '../errors.ts';
import { breathing, breathingEach } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import { loadTextHash } from '../text-digest.ts';
import { baseOf, directoryOf, inDirectory } from './paths.ts';
import { type FileStep, fileSteps, type Plan, putSteps, stagedPath } from './plan.ts';
import type { Facts, Want } from './want.ts';

/** Unicode's simple folding is what these filesystems do, more or less: it only says where to look. */
export function folded(path: string): string {
  return path.normalize('NFC').toLowerCase();
}

/**
 * Targets found by their names in another case only, and whether no two fold together. INVALID_MANIFEST names two wanted names of one
 * file. Rejects with a system error.
 */
export async function otherCases(
  files: Files,
  wants: Iterable<Want>,
  found: Facts['found'],
): Promise<Required<Pick<Facts, 'otherCases' | 'foldsApart'>>> {
  const others = new Set<string>();
  const groups = await groupsOf(wants);
  for (const group of groups) {
    const [first, second] = group.filter(({ kind }) => kind !== 'absent');
    for (const { target } of group)
      if (found.get(target) !== undefined && !(await isSpelled(files, target, group))) others.add(target);
    // A directory that is there in another case is the wanted one: it keeps its name.
    if (group.some(({ kind, target }) => kind === 'directory' && others.has(target)))
      for (const { kind, target } of group) if (kind === 'absent') others.add(target);
    if (first === undefined || second === undefined) continue;
    const isOne =
      group.some(({ target }) => others.has(target)) || (await foldsCase(files, directoryOf(first.target)));
    if (isOne) throw oneFile(first, second);
  }
  return { otherCases: others, foldsApart: groups.length === 0 };
}

/** After staging, where it is certain: a staged file is found by its name in another case, too. Throws INVALID_MANIFEST as above. */
export async function refuseOneFile(files: Files, plan: Plan): Promise<void> {
  if (plan.foldsApart === true) return;
  for (const [first, second] of await groupsOf({ [Symbol.iterator]: () => putSteps(plan) })) {
    if (first === undefined || second === undefined) continue;
    const staged = stagedPath(first);
    const other = inDirectory(directoryOf(staged), baseOf(staged).toUpperCase());
    if ((await files.stat(other)) !== undefined) throw oneFile(first, second);
  }
}

/** Whether a step brings what another one takes away by a name in another case. */
export async function renamedCases(plan: Plan): Promise<(step: FileStep) => boolean> {
  const renamed = new Set<string>();
  for (const group of await groupsOf({ [Symbol.iterator]: () => fileSteps(plan) }))
    if (group.some(({ kind }) => kind === 'remove')) for (const { target } of group) renamed.add(target);
  return ({ kind, target }) => kind === 'put' && renamed.has(target);
}

/** Those of which more than one have the same folded path; `items` is gone through twice. Of most no more is held than a number. */
async function groupsOf<Item extends { readonly target: string }>(items: Iterable<Item>): Promise<Item[][]> {
  const hashOf = await loadTextHash();
  const again = await repeated(items, ({ target }) => hashOf(folded(target)));
  if (again.size === 0) return [];
  const groups = new Map<string, Item[]>();
  for await (const item of breathing(items)) {
    const key = folded(item.target);
    if (again.has(hashOf(key))) groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

/** The numbers, of 32 bits, that more than one item has. */
async function repeated<Item>(
  items: Iterable<Item>,
  numberOf: (item: Item) => number,
): Promise<ReadonlySet<number>> {
  let numbers = new Uint32Array(1024);
  let count = 0;
  await breathingEach(items, (item) => {
    if (count === numbers.length) {
      const fewer = numbers;
      numbers = new Uint32Array(2 * count);
      numbers.set(fewer);
    }
    numbers[count++] = numberOf(item);
  });
  const sorted = numbers.subarray(0, count).sort();
  return new Set(sorted.filter((number, index) => number === sorted[index - 1]));
}

/** True where the names that tell a path from the others of its group stand on the disk as it spells them. */
async function isSpelled(files: Files, path: string, group: readonly Want[]): Promise<boolean> {
  const names = path.split('/');
  for (const [depth, name] of names.entries()) {
    if (group.every(({ target }) => target.split('/')[depth] === name)) continue;
    if (!(await files.list(names.slice(0, depth).join('/') || '/')).includes(name)) return false;
  }
  return true;
}

/** True where a name that stands there is found in another case as well; false where none tells. */
async function foldsCase(files: Files, directory: string): Promise<boolean> {
  if ((await files.stat(directory))?.kind !== 'directory') return false;
  const names = await files.list(directory);
  const name = names.find((each) => each.toUpperCase() !== each || each.toLowerCase() !== each);
  if (name === undefined) return false;
  const other = name.toUpperCase() === name ? name.toLowerCase() : name.toUpperCase();
  return !names.includes(other) && (await files.stat(inDirectory(directory, other))) !== undefined;
}

interface Named {
  readonly module: string;
  readonly target: string;
}

function oneFile(first: Named, second: Named): UpdateError {
  return new UpdateError(
    'INVALID_MANIFEST',
    `module "${second.module}": ${first.target} and ${second.target} are one file on this filesystem, which does not tell upper from lower case`,
  );
}
