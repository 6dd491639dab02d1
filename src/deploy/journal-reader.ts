/**
 * Reads a journal a part at a time, as a large plan has tens of megabytes. Steps are parsed as they come and packed; the digest
 * of their record decides.
 */
import type * as Crypto from 'node:crypto';
import { limits } from '../limits.ts';
import {
  anyRecordIn,
  type DecodedJournal,
  type Digest,
  decodeLater,
  isRecord,
  lineFeed,
  type Told,
} from './journal.ts';
import type { Step } from './plan.ts';
import type { StepList } from './step-list.ts';

/** Never throws, whatever the bytes are. `list`: takes the steps; undefined: they are passed over, and the plan has none. */
export async function decodeJournal(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  createHash: typeof Crypto.createHash,
  list: StepList | undefined,
): Promise<DecodedJournal> {
  const digest: Digest = (text) => createHash('sha256').update(text).digest('hex');
  const first = firstRecord(createHash, list);
  const later: Buffer[] = [];
  let laterBytes = 0;
  for await (const chunk of chunks) {
    const behind = first.take(Buffer.from(chunk));
    if (behind === undefined) continue;
    later.push(behind);
    laterBytes += behind.length;
    if (laterBytes > limits.shortJournalBytes)
      return { kind: 'damaged', why: `more than ${limits.shortJournalBytes} bytes behind the plan` };
  }
  const bytes = Buffer.concat(later);
  const told = first.told();
  if (told === 'none') return { kind: 'empty' };
  if (told === 'unplanned') return { kind: 'damaged', why: 'the first record names no plan' };
  if (told !== 'torn') return decodeLater(bytes, first.endOffset(), told, digest);
  return anyRecordIn(bytes, 0, digest) ? { kind: 'damaged', why: 'bad record at byte 0' } : { kind: 'empty' };
}

const digestBytes = 64 + ' '.length;
const stepsKey = '"steps":[';
/** Between two steps: text in JSON has no quote that follows a brace. */
const betweenSteps = '},{"kind":"';

/** `none`: the record has no end. `torn`: it is not what its digest says. */
type FirstTold = Told | 'none' | 'torn' | 'unplanned';

function firstRecord(createHash: typeof Crypto.createHash, list: StepList | undefined) {
  const hash = createHash('sha256');
  /** What is not parsed yet: first the digest, then the text before the steps, then a step that is not whole. */
  let pending: Buffer = Buffer.alloc(0);
  let wanted: string | undefined;
  let head: string | undefined;
  let isOdd = false;
  let isOver = false;
  let length = 0;

  const parsed = <T>(text: string): T | undefined => {
    try {
      return JSON.parse(text) as T;
    } catch {
      isOdd = true; // the digest will tell whether it was torn
      return undefined;
    }
  };
  const addSteps = (text: string): void => {
    if (list === undefined || isOdd || text === '') return;
    for (const step of parsed<Step[]>(`[${text}]`) ?? []) list.add(step);
  };
  const takePart = (part: Buffer): void => {
    let text = part;
    if (wanted === undefined) {
      pending = Buffer.concat([pending, part]);
      if (pending.length < digestBytes) return;
      wanted = pending.toString('latin1', 0, digestBytes);
      text = pending.subarray(digestBytes);
      pending = Buffer.alloc(0);
    }
    hash.update(text);
    pending = Buffer.concat([pending, text]);
    if (head === undefined) {
      const at = pending.indexOf(stepsKey);
      if (at < 0) {
        isOdd ||= pending.length > limits.shortJournalBytes;
        if (isOdd) pending = Buffer.alloc(0);
        return;
      }
      head = pending.toString('utf8', 0, at + stepsKey.length);
      pending = pending.subarray(at + stepsKey.length);
    }
    const end = pending.lastIndexOf(betweenSteps);
    if (end < 0) return;
    addSteps(pending.toString('utf8', 0, end + 1));
    pending = pending.subarray(end + '},'.length);
  };

  return {
    /** What is behind the record, once it has ended. */
    take(chunk: Buffer): Buffer | undefined {
      if (isOver) return chunk;
      const end = chunk.indexOf(lineFeed);
      length += end < 0 ? chunk.length : end + 1;
      takePart(end < 0 ? chunk : chunk.subarray(0, end));
      if (end < 0) return undefined;
      isOver = true;
      return chunk.subarray(end + 1);
    },
    endOffset: () => length,
    told(): FirstTold {
      if (!isOver) return 'none';
      if (wanted !== `${hash.digest('hex')} `) return 'torn';
      const tail = pending.toString('utf8');
      let text = tail;
      if (head !== undefined) {
        const end = tail.lastIndexOf(']}}');
        addSteps(tail.slice(0, end));
        text = head + tail.slice(end);
      }
      const record = parsed<unknown>(text);
      if (isOdd || !isRecord(record)) return 'torn';
      if (record.plan === undefined) return 'unplanned';
      const { state, services, bootId, begun = 0, error, plan } = record;
      const planned = list === undefined ? plan : { ...plan, steps: list.steps };
      return { plan: planned, state, services, bootId, begun, error };
    },
  };
}
