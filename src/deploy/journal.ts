/**
 * The journal's byte format. Pure.
 *
 * A journal is a sequence of records, each one line:
 *
 *     <SHA-256 of the JSON text, 64 hex digits> <JSON text> LF
 *
 * The first record carries the plan, later ones a state. What follows the last record is padding (NUL) or the torn
 * rest of a record whose fsync never returned: it does not count. A bad record with a good one behind it is no torn
 * write but damage, and so is a first record that names no plan.
 *
 * What is true in each state (the record is durable before the step it announces is taken, but for `stopping` and `handover`):
 *
 *     staging    staged files may lie beside their targets; services may be down; no target has changed
 *     staged     every staged file and every backup is complete and durable (written by 0.1.0, still read)
 *     stopping   the same; services may be down: this record lists them, for the successor of a killed daemon to start
 *                again. A power cut may take it, for it takes the services, too, and the boot starts them
 *     switching  targets may be old or new, one by one; backups hold all that is old
 *     switched   every target is new and durable; services may run, and commands where the record counts them
 *     rebooting  the same; the machine is to end the boot that the record names, services run after it
 *     handover   every target is new and durable, services run and are healthy; the updater itself is new, too, and has
 *                not yet proven itself: it commits, or the one before takes everything back. A power cut may take the record
 *     committed  the update stands; only tidying is left
 *     undoing    targets go back to what the backups hold
 *     undone     every target is old and durable; only tidying is left
 */
import type { Plan, Step } from './plan.ts';

const states = [
  'staging',
  'staged',
  'stopping',
  'switching',
  'switched',
  'rebooting',
  'handover',
  'committed',
  'undoing',
  'undone',
] as const;
export type JournalState = (typeof states)[number];

export interface JournalRecord {
  readonly state: JournalState;
  /** In the first record only. */
  readonly plan?: Plan;
  /** Of `stopping`: the services as they were, as services/ wrote them down. */
  readonly services?: unknown;
  /** Of `rebooting`: the boot that is to end. */
  readonly bootId?: string;
  /** Of `switched`: so many of the plan's commands have begun, the last of them begins now. */
  readonly begun?: number;
  /** All before this byte of the file was durable when the record was written; absent in journals of 0.1.0. */
  readonly durable?: number;
  /** Of `undoing` and `undone`: why, as `CODE: text`; absent where the operation is tried again afterwards. */
  readonly error?: string;
}

/** A journal as read back. */
export interface Journal {
  readonly plan: Plan;
  readonly state: JournalState;
  readonly services: unknown;
  readonly bootId: string | undefined;
  /** So many of the plan's commands had begun. */
  readonly begun: number;
  readonly error: string | undefined;
  /** All before this byte is certainly durable. */
  readonly durable: number;
  /** Where the next record goes, in bytes. */
  readonly endOffset: number;
}

export type DecodedJournal =
  | { readonly kind: 'empty' }
  | { readonly kind: 'damaged'; readonly why: string }
  | { readonly kind: 'journal'; readonly journal: Journal };

/** SHA-256 of a text, in hex: handed in, so that the module that computes it is loaded only where it is used. */
export type Digest = (text: string) => string;

export function encodeRecord(record: JournalRecord, digest: Digest): Uint8Array {
  const text = JSON.stringify(record);
  return Buffer.from(`${digest(text)} ${text}\n`);
}

/** How many steps of a plan are one piece of its text: some 30 KB. */
const stepsPerPiece = 64;

/** The JSON text of a first record in pieces: that of a tree of thousands of files is too long to be held whole. */
export function* firstRecordText(plan: Plan): Generator<string> {
  const { steps, ...rest } = plan;
  const state: JournalState = 'staging';
  const head = JSON.stringify({ state, plan: rest });
  yield `${head.slice(0, -'}}'.length)},"steps":[`;
  let piece: Step[] = [];
  let isFirst = true;
  const text = () => {
    const json = JSON.stringify(piece).slice(1, -1);
    piece = [];
    if (!isFirst) return `,${json}`;
    isFirst = false;
    return json;
  };
  for (const step of steps) {
    piece.push(step);
    if (piece.length === stepsPerPiece) yield text();
  }
  if (piece.length > 0) yield text();
  yield ']}}';
}

/** What the records say together, from the first one on. */
export type Told = Omit<Journal, 'endOffset' | 'durable'>;

/** Goes on from the first record, `told`, with those in `bytes`, which begin at `start` of the file. */
export function decodeLater(bytes: Buffer, start: number, told: Told, digest: Digest): DecodedJournal {
  let { state, services, bootId, begun, error } = told;
  let durable = start;
  let offset = 0;
  for (;;) {
    const found = recordAt(bytes, offset, digest);
    if (found === undefined) break;
    state = found.record.state;
    services = found.record.services ?? services;
    bootId = found.record.bootId ?? bootId;
    begun = Math.max(begun, found.record.begun ?? 0);
    error = found.record.error ?? error;
    durable = Math.max(durable, found.record.durable ?? 0);
    offset = found.endOffset;
  }
  const badAt = start + offset;
  const end = bytes.indexOf(lineFeed, offset);
  // A record that was never durable itself says nothing: a power cut may take what was only noted before it, and leave it.
  const wasDurable = ({ durable: before }: JournalRecord) => before === undefined || before > badAt;
  if (end >= 0 && anyRecordIn(bytes, end + 1, digest, wasDurable))
    return { kind: 'damaged', why: `bad record at byte ${badAt}` };
  const { plan } = told;
  return {
    kind: 'journal',
    journal: { plan, state, services, bootId, begun, error, durable, endOffset: badAt },
  };
}

/** True where a good record that counts begins at `start` or at any line behind it. */
export function anyRecordIn(
  bytes: Buffer,
  start: number,
  digest: Digest,
  counts: (record: JournalRecord) => boolean = () => true,
): boolean {
  for (let at = start; ; ) {
    const found = recordAt(bytes, at, digest);
    if (found !== undefined && counts(found.record)) return true;
    const end = bytes.indexOf(lineFeed, at);
    if (end < 0) return false;
    at = end + 1;
  }
}

export const lineFeed = 0x0a;

function recordAt(
  bytes: Buffer,
  start: number,
  digest: Digest,
): { record: JournalRecord; endOffset: number } | undefined {
  const end = bytes.indexOf(lineFeed, start);
  if (end < 0) return undefined;
  const line = bytes.subarray(start, end).toString('utf8');
  if (line[64] !== ' ') return undefined;
  const text = line.slice(65);
  if (digest(text) !== line.slice(0, 64)) return undefined;
  const record: unknown = JSON.parse(text);
  return isRecord(record) ? { record, endOffset: end + 1 } : undefined;
}

/** The digest has proven that we wrote it; this only tells a record from other JSON. */
export function isRecord(value: unknown): value is JournalRecord {
  if (typeof value !== 'object' || value === null || !('state' in value)) return false;
  if ('plan' in value && !isPlan(value.plan)) return false;
  return states.some((state) => state === value.state);
}

function isPlan(value: unknown): value is Plan {
  return typeof value === 'object' && value !== null && 'format' in value && value.format === 1;
}
