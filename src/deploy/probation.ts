/**
 * The updater's own executable as it lies on the device, and the probation of a new one: the files that deploy/launch.sh reads.
 *
 *     tope-updater            what packages replace
 *     tope-updater.previous   another name of the one before, from before the switch until the probation ends
 *     probation               there as long as it lasts; see deploy/launch.sh for its lines
 *
 * Invariant: both are durable before a new executable stands under its name. Their end needs no sync: what a power cut brings
 * back of them is looked at by the next start, which finds that nothing is on trial.
 */
import { posix } from 'node:path';
import { readWhole, removeIfThere, writeDurably } from '../host/durable-file.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { cloneFile, isEqual, sameFile } from './clone.ts';

export interface OwnExecutable {
  /** Absolute, its directory free of symlinks. */
  readonly path: string;
  /** As in the names of a release. */
  readonly arch: string;
  /** Why no package may replace it; undefined: one may. */
  readonly refusal: string | undefined;
  /** The launcher has started the one before, as what stands at `path` has failed its probation. */
  isFallback(): boolean;
  /** This process is a start of what stands at `path` now. */
  isCurrent(): Promise<boolean>;
  /** Undefined: there is none. */
  probation(): Promise<Probation | undefined>;
  /** Makes it durable that the next executable has to prove itself, and what comes back where it does not. */
  beginProbation(update: string): Promise<void>;
  /** Adds a line for the launcher; a power cut may take it, for it takes the start that the line is about, too. */
  note(word: 'committed' | 'ended'): Promise<void>;
  /** Without a probation: removes the one before, unless it is what runs, as an installer may be about to begin one. */
  removeLeftover(): Promise<void>;
  /** Removes both files, where they are there. */
  endProbation(): Promise<void>;
  /** The one before is at hand, and what stands there is another one, by its bytes. */
  isTrying(): Promise<boolean>;
  /** Puts the one before back under the executable's name, durably; false where its bytes stand there already. */
  restorePrevious(): Promise<boolean>;
  /** Resolves when this process has answered a request to its own API; pending until then. */
  serving(): Promise<void>;
  /** Ends this process, to be started again by whoever supervises it. */
  end(): void;
}

export interface Probation {
  /** Id of the transaction that brought the executable; undefined: an installer did. */
  readonly update: string | undefined;
}

/** What the process knows of itself. */
export interface OwnFacts extends Pick<OwnExecutable, 'path' | 'arch' | 'refusal' | 'serving' | 'end'> {
  /** As the launcher says. */
  readonly isFallback: boolean;
}

/** Call once no other updater works in the same place: what stands there now is what this process was started from. */
export async function ownExecutable(
  files: Files,
  { isFallback, ...facts }: OwnFacts,
): Promise<OwnExecutable> {
  const { path } = facts;
  const directory = posix.dirname(path);
  const previous = `${path}.previous`;
  const file = posix.join(directory, 'probation');
  const present = await files.stat(path);
  const isOlder = isFallback || present === undefined;
  const started = isOlder ? await files.stat(previous) : present;
  let fallsBack = isFallback;

  const isCurrent = async () => {
    const now = await files.stat(path);
    return now !== undefined && started !== undefined && sameFile(now, started);
  };
  const probation = async (): Promise<Probation | undefined> => {
    const bytes = await readWhole(files, file, limits.probationBytes);
    if (bytes === undefined) return undefined;
    const [, update] = /^update (\S+)$/m.exec(Buffer.from(bytes).toString('latin1')) ?? [];
    return { update };
  };

  return {
    ...facts,
    isFallback: () => fallsBack,
    isCurrent,
    probation,
    beginProbation: async (update) => {
      // What runs now is what is known to run; where it is not what stands there, its name is there already.
      if (await isCurrent()) {
        await removeIfThere(files, previous);
        await cloneFile(files, path, previous);
      }
      await writeDurably(files, file, Buffer.from(`update ${update}\n`));
      fallsBack = false;
    },
    note: async (word) => {
      if ((await files.stat(file)) === undefined) return;
      const lines = await files.open(file, 'append');
      await lines.write(Buffer.from(`${word}\n`), 0).finally(() => lines.close());
    },
    removeLeftover: async () => {
      const found = await files.stat(previous);
      if (found !== undefined && started !== undefined && !sameFile(found, started))
        await files.remove(previous);
    },
    endProbation: async () => {
      await removeIfThere(files, file);
      await removeIfThere(files, previous);
      fallsBack = false;
    },
    isTrying: async () =>
      (await files.stat(previous)) !== undefined && !(await isEqual(files, previous, path)),
    restorePrevious: async () => {
      const [before, now] = [await files.stat(previous), await files.stat(path)];
      if (before === undefined || (now !== undefined && sameFile(before, now))) return false;
      const isOther = !(await isEqual(files, previous, path));
      const scratch = `${path}.restored`;
      await removeIfThere(files, scratch);
      await cloneFile(files, previous, scratch);
      await files.rename(scratch, path);
      await files.syncDirectory(directory);
      return isOther;
    },
  };
}
