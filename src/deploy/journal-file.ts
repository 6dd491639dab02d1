/**
 * The journal on the disk: `backups/journal` while a transaction runs, `backups/<id>.journal` once it is committed. append()
 * returns when the record is durable, and all before it; room for later ones is taken at the start, so that a full disk keeps us
 * from no undo.
 */

import { posix } from 'node:path';
import { UpdateError } from '../errors.ts';
import { fileChunks } from '../host/file-chunks.ts';
import type { Files, Host, OpenFile } from '../host/host.ts';
import { limits } from '../limits.ts';
import {
  type DecodedJournal,
  type Digest,
  encodeRecord,
  firstRecordText,
  type Journal,
  type JournalRecord,
} from './journal.ts';
import { decodeJournal } from './journal-reader.ts';
import type { Plan } from './plan.ts';
import { openSteps, type StepList } from './step-list.ts';

export interface JournalFile {
  /** Writes `record` for the successor of a killed daemon; a power cut may take it. Durable with the next append(). */
  note(record: JournalRecord): Promise<void>;
  /** Makes `record` durable behind the earlier ones. */
  append(record: JournalRecord): Promise<void>;
  close(): Promise<void>;
}

export function journalPath(backupDirectory: string): string {
  return posix.join(backupDirectory, 'journal');
}

/** What the record with the plan may take, so that all later ones fit into what can be read. */
const planBytes = limits.journalBytes - limits.journalRoomBytes;

/** Throws DEPLOYMENT_FAILED with both numbers where a journal cannot hold the plan: asked before anything begins. The event loop turns. */
export async function checkPlanLength({ clock }: Pick<Host, 'clock'>, plan: Plan): Promise<void> {
  if (plan.steps.length < limits.journalSureSteps) return;
  let bytes = 0;
  let pieces = 0;
  for (const text of firstRecordText(plan)) {
    bytes += Buffer.byteLength(text);
    pieces += 1;
    if (pieces % 16 === 0) await clock.sleep(0);
  }
  if (bytes > planBytes) throw tooLong(plan, `${bytes}`);
}

function tooLong({ steps }: Plan, bytes: string): UpdateError {
  return new UpdateError(
    'DEPLOYMENT_FAILED',
    `the plan of ${steps.length} steps takes ${bytes} bytes, the journal holds ${planBytes}: deploy fewer files at once, or to shorter paths`,
  );
}

/** Begins a journal with the plan, state `staging`. DEPLOYMENT_FAILED where the plan is beyond limits.journalBytes. */
export async function beginJournal(
  host: Pick<Host, 'files'>,
  backupDirectory: string,
  plan: Plan,
): Promise<JournalFile> {
  const path = journalPath(backupDirectory);
  const file = await host.files.open(path, 'create');
  try {
    const endOffset = await writeFirst(file, plan);
    await file.write(new Uint8Array(limits.journalRoomBytes), endOffset);
    await file.sync();
    await host.files.syncDirectory(backupDirectory);
    return journalWriter(file, { endOffset, durable: endOffset }, await loadDigest());
  } catch (thrown) {
    await file.close();
    if (thrown instanceof UpdateError) await host.files.remove(path);
    throw thrown;
  }
}

/** Writes the record with the plan piece by piece; returns where it ends. Its digest comes last: a torn one is no record. */
async function writeFirst(file: OpenFile, plan: Plan): Promise<number> {
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  const digestBytes = 64 + ' '.length;
  let position = digestBytes;
  for (const text of firstRecordText(plan)) {
    const piece = Buffer.from(text);
    hash.update(piece);
    if (position + piece.length + 1 > planBytes) throw tooLong(plan, `more than ${planBytes}`);
    await file.write(piece, position);
    position += piece.length;
  }
  await file.write(Buffer.from('\n'), position);
  await file.write(Buffer.from(`${hash.digest('hex')} `), 0);
  return position + 1;
}

/** Opens a journal that was read back, to go on with it. */
export async function continueJournal(
  files: Files,
  backupDirectory: string,
  journal: Journal,
): Promise<JournalFile> {
  const file = await files.open(journalPath(backupDirectory), 'update');
  return journalWriter(file, journal, await loadDigest());
}

/** Reads the journal at `path`; `empty` where there is none. A journal beyond its limit is damage. */
export async function readJournal(files: Files, path: string): Promise<DecodedJournal> {
  return readWith(files, path, await openSteps());
}

/** The same without the plan's steps, which take most of the room: `plan.steps` is empty. */
export function readJournalHead(files: Files, path: string): Promise<DecodedJournal> {
  return readWith(files, path, undefined);
}

async function readWith(files: Files, path: string, list: StepList | undefined): Promise<DecodedJournal> {
  const stat = await files.stat(path);
  if (stat === undefined) return { kind: 'empty' };
  if (stat.sizeBytes > limits.journalBytes) return { kind: 'damaged', why: `${stat.sizeBytes} bytes long` };
  const { createHash } = await import('node:crypto');
  const file = await files.open(path, 'read');
  try {
    return await decodeJournal(fileChunks(file, { to: stat.sizeBytes }), createHash, list);
  } finally {
    await file.close();
  }
}

async function loadDigest(): Promise<Digest> {
  const { createHash } = await import('node:crypto');
  return (text) => createHash('sha256').update(text).digest('hex');
}

/** Behind a record: a stale one that an earlier life has left there is none any more. */
const noRecord = Buffer.alloc(1);

function journalWriter(
  file: OpenFile,
  { endOffset, durable: known }: Pick<Journal, 'endOffset' | 'durable'>,
  digest: Digest,
): JournalFile {
  let position = endOffset;
  let durable = known;
  const add = async (record: JournalRecord, bring: (bytes: Uint8Array) => Promise<void>) => {
    const bytes = encodeRecord({ ...record, durable }, digest);
    const ended = Buffer.concat([bytes, noRecord]);
    // One repetition: a passing fault (EIO of a tired flash, EINTR of a signal) must not cost the undo its record.
    await bring(ended).catch(() => bring(ended));
    position += bytes.length;
  };
  return {
    note: (record) => add(record, (bytes) => file.write(bytes, position)),
    append: async (record) => {
      await add(record, async (bytes) => {
        await file.write(bytes, position);
        await file.sync();
      });
      durable = position;
    },
    close: () => file.close(),
  };
}
