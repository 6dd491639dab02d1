/**
 * What of the wanted files stands already, and what somebody has edited since it was deployed: decides for each of them whether
 * it is put, left alone, or put beside (spec sections 10 and 12).
 */
import type { FileStat, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { type Comparer, createComparer } from './compare.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { FileWant } from './make-plan.ts';
import type { Recorded } from './recorded.ts';

/** `wanted`: the very bytes of the package. `deployed`: those of the record. `unknown`: no record tells. */
type Standing = 'nothing' | 'wanted' | 'deployed' | 'edited' | 'unknown';

export interface Judged {
  /** In the order of the wants that were given; what is kept is left out, what is edited has another target. */
  readonly wants: readonly FileWant[];
  /** Paths that are the package's though no want names them. */
  readonly kept: readonly string[];
}

/** The name beside an edited file under which the package's own is put. */
export function besideEdited(target: string): string {
  return `${target}.new`;
}

/** `found` gets what stands at the targets that it adds. Rejects with a system error. */
export async function judgeStanding(
  { files, log }: Pick<Host, 'files' | 'log'>,
  wants: readonly FileWant[],
  recorded: Recorded,
  found: Map<string, FileStat | undefined>,
): Promise<Judged> {
  const standings = new Map<FileWant, Standing>();
  const { signal } = new AbortController();
  // Each has a buffer of its own, and reads one file at a time.
  const idle: Comparer[] = [];
  const isOf = async (stat: FileStat, path: string, sizeBytes: number, wanted: Fingerprint) => {
    if (stat.sizeBytes !== sizeBytes) return false;
    const comparer = idle.pop() ?? createComparer(files, { signal, pace: () => undefined });
    try {
      return await comparer.holds(path, wanted);
    } finally {
      idle.push(comparer);
    }
  };

  await forEachInFlight(wants, limits.filesInFlight, async (want) => {
    const { target, sizeBytes, sha256 } = want;
    const stat = await files.stat(target);
    found.set(target, stat);
    if (stat === undefined) return void standings.set(want, 'nothing');
    if (want.whenThere === 'keep' || stat.kind !== 'file') return void standings.set(want, 'unknown');
    if (sha256 !== undefined && (await isOf(stat, target, sizeBytes, { sha256 })))
      return void standings.set(want, 'wanted');
    const record = recorded.files.get(target);
    const beside = recorded.files.get(besideEdited(target));
    const isDeployed =
      (record !== undefined && (await isOf(stat, target, record.sizeBytes, record))) ||
      (want.whenThere === 'config' &&
        beside !== undefined &&
        (await isOf(stat, target, beside.sizeBytes, beside)));
    standings.set(want, isDeployed ? 'deployed' : record === undefined ? 'unknown' : 'edited');
  });

  const judged: FileWant[] = [];
  const kept: string[] = [];
  for (const want of wants) {
    const standing = standings.get(want) ?? 'nothing';
    const isChanged = standing === 'edited' || standing === 'unknown';
    if (want.whenThere === 'keep' && standing !== 'nothing') {
      kept.push(want.target);
    } else if (want.whenThere === 'config' && isChanged) {
      const target = besideEdited(want.target);
      log.warn(`${want.target} was edited: it stays, the one of the package is ${target}`);
      kept.push(want.target);
      judged.push({ ...want, target });
    } else {
      if (standing === 'edited')
        log.warn(`${want.target} was edited since it was deployed: it is replaced, and kept in the backups`);
      judged.push(standing === 'wanted' ? { ...want, stands: true } : want);
    }
  }
  return { wants: judged, kept };
}
