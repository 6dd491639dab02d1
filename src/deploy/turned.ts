/**
 * Places that change their kind: file or symlink to directory, or back. What is below one is there before the switch or after
 * it, never both: so what stands in for it lies beside the topmost of them; a directory that comes is made in the switch, one
 * that goes is emptied and renamed away.
 */
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Files } from '../host/host.ts';
import type { Found } from './findings.ts';
import { directoryOf, inDirectory } from './paths.ts';
import { type FileStep, type Plan, summaryOf } from './plan.ts';
import type { Facts, Want } from './want.ts';

/** Whether the place of a want turns; `found`: what stands there. */
export function isTurned({ kind }: Want, found: Found | undefined): boolean {
  if (kind === 'directory') return found?.kind === 'file' || found?.kind === 'symlink';
  return kind === 'file' && found?.kind === 'directory';
}

/** The topmost of `places` at or above a path; undefined: there is none. */
export function placeAbove(places: ReadonlySet<string>, path: string): string | undefined {
  if (places.size === 0) return undefined;
  let found: string | undefined;
  for (let at = path; at !== '/'; at = directoryOf(at)) if (places.has(at)) found = at;
  return found;
}

/** The directory nearest to `directory` that stands before, while and after the places turn. */
export function steadyDirectory(places: ReadonlySet<string>, directory: string): string {
  const place = placeAbove(places, directory);
  return place === undefined ? directory : directoryOf(place);
}

/** Those of the directories that are directories now, whatever turns. */
export async function standingDirectories(
  files: Files,
  places: ReadonlySet<string>,
  directories: Iterable<string>,
): Promise<string[]> {
  const standing: string[] = [];
  for (const directory of directories) {
    const place = placeAbove(places, directory);
    if (place === undefined || (await isBelowDirectories(files, place, directory))) standing.push(directory);
  }
  return standing;
}

/** Whether the place of a step stands now: where one above is no directory, nothing of the step is there, and nothing below is looked at. */
export async function reachableSteps(files: Files, plan: Plan): Promise<(step: FileStep) => boolean> {
  const { turned, touched } = summaryOf(plan);
  if (turned.size === 0) return () => true;
  const standing = new Set(await standingDirectories(files, turned, touched));
  return ({ target }) => standing.has(directoryOf(target));
}

async function isBelowDirectories(files: Files, place: string, directory: string): Promise<boolean> {
  const ways: string[] = [];
  for (let at = directory; at !== directoryOf(place); at = directoryOf(at)) ways.unshift(at);
  for (const at of ways) if ((await files.stat(at))?.kind !== 'directory') return false;
  return true;
}

/** Checks that nothing is left in a directory that becomes a file. DEPLOYMENT_FAILED names what would be lost. Rejects with a system error. */
export async function refuseStrangers(
  files: Files,
  wants: Iterable<Want>,
  { found, turned }: Facts,
): Promise<void> {
  const emptied = new Set([...turned].filter((place) => found.get(place)?.kind === 'directory'));
  if (emptied.size === 0) return;
  const going = new Set<string>();
  for await (const { kind, target } of breathing(wants))
    if (kind === 'absent' && placeAbove(emptied, target) !== undefined) going.add(target);
  const mountPoints = await files.mountPoints();
  const look = async (target: string, directory: string): Promise<void> => {
    if (mountPoints.has(directory)) throw stranger(target, `${directory}, a mount point`);
    for (const name of await files.list(directory)) {
      const path = inDirectory(directory, name);
      if (!going.has(path)) throw stranger(target, path);
      if ((await files.stat(path))?.kind === 'directory') await look(target, path);
    }
  };
  for (const target of emptied) await look(target, target);
}

function stranger(target: string, what: string): UpdateError {
  return new UpdateError(
    'DEPLOYMENT_FAILED',
    `${target} is a directory, a file is due there; what is not the package's would be lost: ${what}`,
  );
}
