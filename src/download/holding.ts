/**
 * The bytes of a download that are at hand, and which version of the server's file they are of.
 *
 * A whole body that comes in place of the rest that was asked for is a rival: it goes to a second file, `<part>.new`, until it
 * is longer than what there is. So an answer that breaks off, or is a page of somebody else, costs nothing.
 * Invariants: the validators saved are those of the bytes in the partial file, or none; the second file never outlives the
 * download. Source: spec section 13.
 */
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Checkpoints } from './checkpoint.ts';
import type { PartFile } from './part-file.ts';
import { noValidators, type ResumeInfo, type Validators } from './resume.ts';

export interface Holding {
  readonly part: PartFile;
  readonly validators: Validators;
  /** The bytes came in more than one answer: a wrong digest may be the splice's fault. */
  readonly inPieces: boolean;
  /** A rival ended before it was longer: the names that the server gives to its file are not to be trusted. */
  readonly hasOutlivedRival: boolean;
  info(): ResumeInfo;
  /** An answer goes on where the bytes end; `found`: what it calls the file. */
  goesOn(found: Validators): void;
  /** An answer tells what the file is called before any byte of it is at hand. */
  noteNames(found: Validators): Promise<void>;
  /** Bytes were made of what the device has. */
  spliced(): void;
  /** A whole body begins: into the partial file where that is empty, or where there is no room for two, else as a rival. */
  beginWhole(found: Validators): Promise<PartFile>;
  /** To be called after each chunk that `into` took: a rival that is longer now takes the place of the partial file. */
  settleRivalry(into: PartFile): Promise<void> | undefined;
  /** A body has ended, well or not: a rival that is not longer goes. */
  dropRival(): Promise<void>;
  /** Empties the partial file, durably. */
  drop(): Promise<void>;
  /** Something of it was found stuck: all of that is left behind, and the file is opened anew, its digests without a thread. */
  reopen(): Promise<void>;
}

export interface HoldingParts {
  readonly host: Pick<Host, 'files' | 'log'>;
  readonly part: PartFile;
  readonly resume: ResumeInfo | undefined;
  readonly saved: Checkpoints;
  /** Opens a file of that name, hashed without a thread: two would be too much memory. */
  readonly open: (name: string, how: { readonly keep: boolean }) => Promise<PartFile>;
}

export function createHolding({ host, part: first, resume, saved, open }: HoldingParts): Holding {
  let part = first;
  let rival: { readonly file: PartFile; readonly validators: Validators } | undefined;
  let validators: Validators = part.sizeBytes > 0 && resume ? pick(resume) : noValidators;
  let inPieces = part.sizeBytes > 0;
  let hasOutlivedRival = false;
  const info = () => ({ bytes_downloaded: part.writtenBytes, ...validators });

  return {
    get part() {
      return part;
    },
    get validators() {
      return validators;
    },
    get inPieces() {
      return inPieces;
    },
    get hasOutlivedRival() {
      return hasOutlivedRival;
    },
    info,
    goesOn(found) {
      inPieces = true;
      if (hasOutlivedRival) validators = found;
    },
    async noteNames(found) {
      if (part.sizeBytes > 0) return;
      validators = pick(found);
      await saved.save(info());
    },
    spliced() {
      inPieces = true;
    },
    async beginWhole(found) {
      if (part.sizeBytes > 0 && (await hasRoomForTwo())) {
        const file = await open(`${nameOf(part.path)}.new`, { keep: false });
        rival = { file, validators: found };
        return file;
      }
      if (part.sizeBytes > 0) await part.restart();
      await begin(found);
      return part;
    },
    settleRivalry(into) {
      return into !== part && into.sizeBytes > part.sizeBytes ? promote() : undefined;
    },
    async dropRival() {
      if (rival === undefined) return;
      const { file } = rival;
      rival = undefined;
      hasOutlivedRival = true;
      await file.close();
      await host.files.remove(file.path);
    },
    async drop() {
      await part.restart();
      await begin(noValidators);
    },
    async reopen() {
      rival?.file.leaveBehind();
      rival = undefined;
      part.leaveBehind();
      part = await open(nameOf(part.path), { keep: true });
      inPieces = part.sizeBytes > 0;
    },
  };

  /** The bytes of the partial file are of `found` from here on. */
  async function begin(found: Validators): Promise<void> {
    inPieces = false;
    hasOutlivedRival = false;
    validators = pick(found);
    await saved.save(info());
  }

  async function promote(): Promise<void> {
    if (rival === undefined) return;
    const winner = rival;
    const old = part;
    host.log.info(
      `${old.path}: ${old.sizeBytes} bytes of another version of the file go, the new ones are more`,
    );
    validators = noValidators; // a cut between here and the last save finds bytes of either version
    await saved.save(info());
    await winner.file.moveTo(host.files, old.path);
    rival = undefined;
    part = winner.file;
    await old.close();
    await begin(winner.validators);
  }

  async function hasRoomForTwo(): Promise<boolean> {
    const { freeBytes } = await host.files.space(directoryOf(part.path));
    return freeBytes >= part.sizeBytes + limits.reserveBytes;
  }
}

function pick({ etag, last_modified, total }: Validators): Validators {
  return { etag, last_modified, total };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '.';
}
