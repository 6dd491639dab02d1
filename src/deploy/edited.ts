/** What somebody has edited since it was deployed and goes all the same: told by name, as what is replaced is, for only backups hold it. */
import { errno } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { filtered, loadPacking, type PackedList } from '../packed-list.ts';
import { comparers } from './compare.ts';
import type { Found } from './findings.ts';
import type { Recorded } from './recorded.ts';
import type { Facts, Want } from './want.ts';

/** Warns of those of `going` that were edited, and gives their paths. `facts`: what was found at each of them. Rejects with a system error. */
export async function tellEdited(
  { files, log }: Pick<Host, 'files' | 'log'>,
  going: Iterable<Want>,
  recorded: Recorded,
  { found, otherCases }: Pick<Facts, 'found' | 'otherCases'>,
): Promise<PackedList<string>> {
  const edited = (await loadPacking()).list<string>();
  const isEdited = editedSince(files, recorded);
  // What is wanted by a name in another case stays.
  const leaves = filtered(going, ({ target }) => !otherCases.has(target));
  await forEachInFlight(leaves, limits.filesInFlight, async ({ target }) => {
    if (!(await isEdited(target, found.get(target)))) return;
    log.warn(
      `${target} was edited since it was deployed: it goes, as the package has none any more, and is kept in the backups`,
    );
    edited.add(target);
  });
  return edited;
}

/**
 * Whether a path is recorded and something else stands there, of which somebody may want to know; `places`: paths whose record counts,
 * that of the path itself unless said. What cannot be read counts as edited.
 */
export function editedSince(
  files: Files,
  recorded: Recorded,
): (path: string, stands: Found | undefined, places?: readonly string[]) => Promise<boolean> {
  const isAsRecorded = asRecorded(files, recorded);
  return async (path, stands, places = [path]) => {
    const known = places.filter((place) => recorded.files.has(place) || recorded.links.has(place));
    if (stands === undefined || known.length === 0) return false;
    try {
      for (const place of known) if (await isAsRecorded(path, stands, place)) return false;
      return true;
    } catch (thrown) {
      if (errno(thrown) === undefined) throw thrown;
      return errno(thrown) !== 'ENOENT';
    }
  };
}

/** Whether what stands at a path has the bytes, or leads to the target, that the record tells of `place`. Rejects with a system error. */
export function asRecorded(
  files: Files,
  { files: recordedFiles, links }: Recorded,
): (path: string, stands: Found, place: string) => Promise<boolean> {
  const comparing = comparers(files);
  return async (path, { kind, sizeBytes }, place) => {
    if (kind === 'symlink') return links.get(place)?.to === (await files.readLink(path));
    const file = recordedFiles.get(place);
    if (kind !== 'file' || file?.sizeBytes !== sizeBytes) return false;
    return comparing((comparer) => comparer.holds(path, sizeBytes, file));
  };
}
