/**
 * What of the wanted files stands already, and what somebody has edited since it was deployed: decides for each of them whether
 * it is put, left alone, or put beside (spec sections 10 and 12).
 */
import { breathing } from '../host/breathing.ts';
import type { FileStat, Host } from '../host/host.ts';
import { forEachInFlight, numbered } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { type List, loadPacking } from '../packed-list.ts';
import { besideEdited } from '../release.ts';
import { comparers } from './compare.ts';
import { asRecorded } from './edited.ts';
import type { Findings } from './findings.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Recorded } from './recorded.ts';
import type { StayingFiles } from './staying.ts';
import type { AbsentWant, FileWant } from './want.ts';

/** `wanted`: the very bytes of the package. `deployed`: those of the record. `unknown`: no record tells. */
type Standing = 'nothing' | 'wanted' | 'deployed' | 'edited' | 'unknown';

export interface Judged {
  /** In the order of the wants that were given; what is kept is left out, what is edited has another target. */
  readonly wants: Iterable<FileWant>;
  /** Targets that no want named before. */
  readonly besides: readonly string[];
  /** What stands where one of those would be, and is not as an update put it: it stays, and the package's own is not put there. */
  readonly inTheWay: readonly string[];
  /** What was put beside files that are not edited any more, and was not edited itself: it goes. */
  readonly stale: readonly AbsentWant[];
  /** Targets of edited files that are replaced all the same. */
  readonly edited: List<string>;
}

/** `wants` is gone through twice. `found` gets what stands at the targets, as `look` tells; `staying` what is left there. Rejects with a system error. */
export async function judgeStanding(
  { files, log }: Pick<Host, 'files' | 'log'>,
  wants: Iterable<FileWant>,
  recorded: Recorded,
  { found, staying }: { readonly found: Findings; readonly staying: StayingFiles },
  look: (path: string) => Promise<FileStat | undefined> = files.stat,
): Promise<Judged> {
  const standings: Standing[] = [];
  const comparing = comparers(files);
  const isOf = async (stat: FileStat, path: string, sizeBytes: number, wanted: Fingerprint) =>
    stat.sizeBytes === sizeBytes && comparing((comparer) => comparer.holds(path, sizeBytes, wanted));

  const standingOf = async (want: FileWant, stat: FileStat): Promise<Standing> => {
    const { target, sizeBytes, sha256, link } = want;
    const places = want.whenThere === 'config' ? [target, besideEdited(target)] : [target];
    let isDeployed = false;
    if (stat.kind === 'symlink') {
      const leadsTo = await files.readLink(target);
      if (leadsTo === link) return 'wanted';
      isDeployed = places.some((place) => recorded.links.get(place)?.to === leadsTo);
    } else {
      if (link === undefined && sha256 !== undefined && (await isOf(stat, target, sizeBytes, { sha256 })))
        return 'wanted';
      for (const place of places) {
        const record = recorded.files.get(place);
        isDeployed ||= record !== undefined && (await isOf(stat, target, record.sizeBytes, record));
      }
    }
    if (isDeployed) return 'deployed';
    // Of one that was edited before the last update the record knows what was put beside it.
    const isRecorded = places.some((place) => recorded.files.has(place) || recorded.links.has(place));
    return isRecorded ? 'edited' : 'unknown';
  };

  await forEachInFlight(numbered(wants), limits.filesInFlight, async ([index, want]) => {
    const stat = await look(want.target);
    found.set(want.target, stat);
    standings[index] = stat === undefined ? 'nothing' : 'unknown';
    if (stat === undefined) return;
    const isLookedAt = want.whenThere !== 'keep' && (stat.kind === 'file' || stat.kind === 'symlink');
    if (isLookedAt) standings[index] = await standingOf(want, stat);
  });

  const packing = await loadPacking();
  const judged = packing.list<FileWant>();
  const replaced = packing.list<string>();
  const besides: string[] = [];
  const inTheWay: string[] = [];
  const stale: AbsentWant[] = [];
  const isAsRecorded = asRecorded(files, recorded);
  const isAsDeployed = async (path: string, stat: FileStat | undefined): Promise<boolean> =>
    stat !== undefined && (await isAsRecorded(path, stat, path));
  const isStale = async (path: string): Promise<boolean> => {
    const { isBeside } = recorded.files.get(path) ?? recorded.links.get(path) ?? {};
    return isBeside === true && !found.has(path) && (await isAsDeployed(path, await look(path)));
  };
  const isInTheWay = async (path: string): Promise<boolean> => {
    if (found.has(path)) return true; // what the package has there itself, by way of a symlink of the device
    const stat = await look(path);
    return stat !== undefined && !(await isAsDeployed(path, stat));
  };
  for await (const [index, want] of breathing(numbered(wants))) {
    const standing = standings[index] ?? 'nothing';
    const isChanged = standing === 'edited' || standing === 'unknown';
    if (want.whenThere === 'keep' && standing !== 'nothing') {
      staying.add(want.module, 'kept', want.target);
      continue;
    }
    if (want.whenThere === 'config' && isChanged) {
      const target = besideEdited(want.target);
      // Without a record of it nobody knows who has put it there.
      const why = standing === 'edited' ? 'was edited' : 'was not deployed by an update';
      staying.add(want.module, standing === 'edited' ? 'edited' : 'foreign', want.target);
      if (await isInTheWay(target)) {
        log.warn(
          `${want.target} ${why}: it stays, without the one of the package: ${target} is not as an update put it, and stays, too`,
        );
        inTheWay.push(target);
        staying.add(want.module, 'colliding', target);
        continue;
      }
      log.warn(`${want.target} ${why}: it stays, the one of the package is ${target}`);
      besides.push(target);
      judged.add({ ...want, target, isBeside: true });
    } else {
      if (standing === 'edited') {
        log.warn(`${want.target} was edited since it was deployed: it is replaced, and kept in the backups`);
        replaced.add(want.target);
      }
      judged.add(standing === 'wanted' ? { ...want, stands: true } : want);
      const beside = besideEdited(want.target);
      if (want.whenThere !== 'config' || !(await isStale(beside))) continue;
      log.info(`${beside} goes: ${want.target} is not edited any more`);
      stale.push({ kind: 'absent', module: want.module, target: beside });
    }
  }
  return { wants: judged, besides, inTheWay, stale, edited: replaced };
}
