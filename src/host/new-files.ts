/**
 * Making small files: one by the calls of the port, and many at once on the real filesystem.
 *
 * Of many, each call goes to libuv's worker without a promise of its own: where calls are many, neither side is woken for each, and
 * 10 µs take the place of 100. Nothing blocks the event loop.
 *
 * What the first file of a directory shows is not asked of the others: the kernel gives each new file its owner and access list by the
 * directory (set-group-ID bit, default list) and the mount, and only the directory's owner, who is the updater then, could change that.
 */
import fs from 'node:fs';
import type { AttributeCalls } from './attributes.ts';
import { type Inside, settleByDirectory } from './directory-runs.ts';
import type { FileOwner, FileStat, Files, OpenFile } from './host.ts';
import { pathBytes } from './raw-text.ts';
import { type Failure, settleAll, settleEach } from './settled.ts';

/** A small file that is to be made. */
export interface NewFile extends FileOwner {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
}

/** Makes a file and leaves it open. Rejects with a system error; then it is closed. */
export async function makeFile({ open }: Pick<Files, 'open'>, wanted: NewFile): Promise<OpenFile> {
  const file = await open(wanted.path, 'create');
  try {
    await file.write(wanted.content, 0);
    await setAttributes(file, wanted);
    return file;
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

/** Files.createMany of a port that has no quicker way than its own calls. */
export function createEach(port: Pick<Files, 'open'>, files: readonly NewFile[]): Promise<Failure[]> {
  return settleEach(files, async (wanted) => (await makeFile(port, wanted)).close());
}

/** Owner before mode: chown takes the set-user-id bit away. */
export async function setAttributes(
  file: OpenFile,
  wanted: Pick<FileStat, 'mode' | 'uid' | 'gid'>,
): Promise<void> {
  const { uid, gid } = await file.stat();
  if (uid !== wanted.uid || gid !== wanted.gid) await file.setOwner(wanted.uid, wanted.gid);
  await file.setMode(wanted.mode);
}

/** See Files.createMany. */
export function createMany(
  files: readonly NewFile[],
  inside: Inside,
  attributes: Pick<AttributeCalls, 'dropInherited'>,
): Promise<Failure[]> {
  const paths = files.map(({ path }) => path);
  return settleByDirectory(paths, inside, ({ names, first }, base) => {
    const wanted = files.slice(first, first + names.length);
    return createAll(
      base,
      wanted.map((file, index) => ({ ...file, path: `${base}${names[index]}` })),
      attributes,
    );
  });
}

/** All in one directory. */
async function createAll(
  directory: string,
  files: readonly NewFile[],
  attributes: Pick<AttributeCalls, 'dropInherited'>,
): Promise<Failure[]> {
  const [first, ...others] = files;
  if (first === undefined) return [];
  const isOurs = others.length > 0 && (await isOwn(directory));
  const shown = await new Promise<Made>((resolve) => createOne(first, attributes, resolve));
  const isAsShown = ({ mode, uid, gid }: NewFile) =>
    isOurs && shown.isComplete && mode === first.mode && uid === first.uid && gid === first.gid;
  const rest = await settleAll(others, (file, done) =>
    createOne(file, isAsShown(file) ? undefined : attributes, ({ failure }) => done(failure)),
  );
  return [shown.failure, ...rest];
}

interface Made {
  readonly failure: Failure;
  /** Mode and owner were right as it was made, and it had no access list. */
  readonly isComplete: boolean;
}

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
/** Until it belongs to whom it is for, nobody else may look at it. */
const closedMode = 0o600;
const setIdBits = 0o7000;
/** They do not change. */
const [ourUid, ourGid] = [process.geteuid?.(), process.getegid?.()];

/** `attributes` undefined: it is known to be complete as it is made. */
function createOne(
  { path, content, mode, uid, gid }: NewFile,
  attributes: Pick<AttributeCalls, 'dropInherited'> | undefined,
  done: (made: Made) => void,
): void {
  const isForUs = uid === ourUid && gid === ourGid && (mode & setIdBits) === 0;
  fs.open(pathBytes(path), flags, isForUs ? mode : closedMode, (error, fd) => {
    if (error !== null) return done({ failure: error, isComplete: false });
    const close = (failure: Failure, isComplete: boolean) =>
      fs.close(fd, (closing) => done({ failure: failure ?? closing ?? undefined, isComplete }));
    let hadList = false;
    try {
      hadList = attributes?.dropInherited(fd) ?? false;
    } catch (thrown) {
      return close(thrown as Error, false);
    }
    writeWhole(fd, content, 0, (failure) => {
      if (failure !== undefined || attributes === undefined) return close(failure, failure === undefined);
      dress(fd, { mode, uid, gid }, (why, wasRight) => close(why, wasRight && !hadList));
    });
  });
}

function writeWhole(fd: number, content: Uint8Array, from: number, done: (failure: Failure) => void): void {
  fs.write(fd, content, from, content.length - from, from, (error, written) => {
    if (error === null && from + written < content.length) writeWhole(fd, content, from + written, done);
    else done(error ?? undefined);
  });
}

/** As setAttributes; but tells whether there was nothing to do, and does nothing then. */
function dress(
  fd: number,
  { mode, uid, gid }: Pick<FileStat, 'mode' | 'uid' | 'gid'>,
  done: (failure: Failure, wasRight: boolean) => void,
): void {
  const give = () => fs.fchmod(fd, mode, (error) => done(error ?? undefined, false));
  fs.fstat(fd, (error, stat) => {
    if (error !== null) return done(error, false);
    if (stat.uid !== uid || stat.gid !== gid)
      return fs.fchown(fd, uid, gid, (failure) => (failure === null ? give() : done(failure, false)));
    if ((stat.mode & 0o7777) === mode) return done(undefined, true);
    give();
  });
}

function isOwn(directory: string): Promise<boolean> {
  return new Promise((resolve, reject) =>
    fs.stat(directory, (error, stat) => (error === null ? resolve(stat.uid === ourUid) : reject(error))),
  );
}
