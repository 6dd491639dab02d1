/**
 * What a survey has seen, so that it can be asked later whether all of it still stands as it was: then what was planned from it holds,
 * and nothing has to be read once more.
 *
 * Of a file its inode and the time of its last change tell (ctime): the kernel sets that with every change of content, names, mode,
 * owner and attributes, and nobody can set it back. So it tells nothing after a power cut, and nobody asks then: a witness lives as
 * long as the process. A change in the same tick as the one before it could not be told apart; what was changed just before it was
 * looked at makes the witness useless, and so does a clock that was set back since. What a program writes to a file that it has mapped may
 * come half a minute after the time of change: it could as well come after the install.
 */
import { errno } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { FileStat, Files, Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { loadPacking } from '../packed-list.ts';

export interface Witness {
  /** To be surveyed with: what it is asked of names, directories and links is remembered. Whoever reads a file asks for its stat before. */
  readonly files: Files;
  /** Undefined: all stands as it was. Else a place that does not, or may not. */
  change(): Promise<string | undefined>;
}

/** A path, and its mark when it was looked at. */
type Seen = readonly [path: string, mark: string];

export async function openWitness({ files, clock }: Pick<Host, 'files' | 'clock'>): Promise<Witness> {
  const packing = await loadPacking();
  /** Single files, by far the most, and what else was asked. */
  const [seenFiles, seenOthers] = [packing.list<Seen>(), packing.list<Seen>()];
  let doubtful: string | undefined;
  const isYoung = ({ changedNs }: FileStat) => {
    const isWhole = changedNs % 1_000_000_000n === 0n;
    const youngMs = isWhole ? limits.witnessYoungOfWholeSecondsMs : limits.witnessYoungMs;
    return changedNs > BigInt(Math.floor(clock.now()) - youngMs) * 1_000_000n;
  };
  const noteListed = async (path: string): Promise<void> => {
    const stat = await files.stat(path);
    if (stat !== undefined && isYoung(stat)) doubtful ??= path;
    seenOthers.add([path, listedMark(stat)]);
  };
  return {
    files: {
      ...files,
      stat: async (path) => {
        const stat = await files.stat(path);
        if (stat?.kind === 'directory') seenOthers.add([path, placeMark(stat)]);
        else {
          if (stat !== undefined && isYoung(stat)) doubtful ??= path;
          seenFiles.add([path, fileMark(stat)]);
        }
        return stat;
      },
      list: async (path) => {
        await noteListed(path);
        return files.list(path);
      },
      realPath: async (path) => {
        const [real, mark] = await resolved(files, path);
        seenOthers.add([path, mark]);
        return real();
      },
      // One path alone is a directory, whose access list counts.
      attributeNames: async (paths) => {
        if (paths.length === 1 && paths[0] !== undefined) await noteListed(paths[0]);
        return files.attributeNames(paths);
      },
      mountPoints: async () => {
        const points = await files.mountPoints();
        seenOthers.add(['', mountsMark(points)]);
        return points;
      },
    },
    async change() {
      if (doubtful !== undefined) return doubtful;
      for await (const [path, mark] of breathing(seenOthers)) {
        if ((await otherMark(files, path, mark)) !== mark) return path;
      }
      let group: Seen[] = [];
      const changed = async (): Promise<string | undefined> => {
        const stats = await files.statMany(group.map(([path]) => path));
        const index = group.findIndex(([, mark], at) => fileMark(stats[at]) !== mark);
        const path = group[index]?.[0];
        group = [];
        return path;
      };
      for await (const each of breathing(seenFiles)) {
        group.push(each);
        if (group.length < limits.statsInFlight) continue;
        const path = await changed();
        if (path !== undefined) return path;
      }
      return changed();
    },
  };
}

/** Of what is no directory. */
function fileMark(stat: FileStat | undefined): string {
  if (stat === undefined) return '-';
  return `${stat.kind} ${stat.device} ${stat.inode} ${stat.sizeBytes} ${stat.changedNs}`;
}

/** Of a directory that things lie in: what else comes and goes there is not our matter. */
function placeMark({ device, inode, mode, uid, gid }: FileStat): string {
  return `place ${device} ${inode} ${mode} ${uid} ${gid}`;
}

/** Of a directory whose names were read. */
function listedMark(stat: FileStat | undefined): string {
  return stat?.kind === 'directory' ? `list ${stat.device} ${stat.inode} ${stat.changedNs}` : 'list';
}

function mountsMark(points: ReadonlySet<string>): string {
  return `mounts ${JSON.stringify([...points].sort())}`;
}

async function resolved(files: Files, path: string): Promise<readonly [() => string, string]> {
  try {
    const real = await files.realPath(path);
    return [() => real, `real ${real}`];
  } catch (thrown) {
    return [
      () => {
        throw thrown;
      },
      `real ${errno(thrown) ?? ''}`,
    ];
  }
}

/** Now, of the same kind as `mark`. */
async function otherMark(files: Files, path: string, mark: string): Promise<string> {
  if (mark.startsWith('mounts ')) return mountsMark(await files.mountPoints());
  if (mark.startsWith('real ')) return (await resolved(files, path))[1];
  const stat = await files.stat(path);
  if (mark.startsWith('list')) return listedMark(stat);
  return stat?.kind === 'directory' ? placeMark(stat) : '';
}
