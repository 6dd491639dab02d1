/** What the updater does with an order, as changes of what is remembered. Pure. An order ends here once, by what really happened to its package. */
import { type ErrorCode, UpdateError } from '../errors.ts';
import type { HistoryEntry } from '../history.ts';
import { limits } from '../limits.ts';
import type { Stage } from '../updater/state.ts';
import type { Last, Memory, Order, Owed } from './memory.ts';
import { type End, errorNumbers, type Word } from './words.ts';

/** A new stage of the updater, as far as it concerns an order of this server. */
export interface Heard {
  readonly stage: Stage;
  readonly order: string | null;
  readonly error: UpdateError | null;
  /** What runs on the device. */
  readonly installed: string | undefined;
  readonly nowMs: number;
  /** Since the tries of the download began, and whether bytes came in this one. */
  readonly triedMs: number;
  readonly hasNewBytes: boolean;
}

/** What to remember after it; the same object: nothing. */
export function afterStage(memory: Memory, heard: Heard): Memory {
  const { order } = memory;
  if (order === null || heard.order !== order.id) return memory;
  switch (heard.stage) {
    case 'success':
      return ended(memory, order, succeeded(order.request.version));
    case 'failed':
      return afterFailure(memory, order, heard);
    case 'idle':
      if (order.cancelling) return memory;
      return ended(
        memory,
        order,
        failed(new UpdateError('CANCELLED', 'cancelled on the device'), heard.installed),
      );
    default:
      return memory;
  }
}

/** The order's end as the history tells it, where it began after the order did. */
export function afterHistory(memory: Memory, entries: readonly HistoryEntry[], name: string): Memory {
  const { order } = memory;
  if (order === null) return memory;
  const end = entries.findLast(({ fleet_action, id }) => fleet_action === name && id > (order.after ?? ''));
  return end === undefined ? memory : ended(memory, order, endOf(end));
}

export function endOf(entry: HistoryEntry): End {
  if (entry.outcome === 'success') return succeeded(entry.version ?? '');
  return failed(UpdateError.parse(entry.error ?? 'INTERNAL_ERROR: no reason is known'), undefined);
}

/** An order that is refused as it is. */
export function refusal(id: string, error: UpdateError, installed: string | undefined): Owed {
  return { id, ...failed(error, installed), version: null, md5: null };
}

/** The updater refuses to carry it out. */
export function refusedOrder(
  memory: Memory,
  order: Order,
  error: UpdateError,
  installed: string | undefined,
): Memory {
  return memory.order?.id === order.id ? ended(memory, order, failed(error, installed)) : memory;
}

/** An order to download alone has ended with that: `closed` would tell the server that it is installed. */
export function downloadedEnd(memory: Memory, order: Order): Memory {
  const end: End = {
    execution: 'downloaded',
    finished: 'none',
    details: ['verified, waits on the device'],
    code: 0,
  };
  return ended(memory, order, end);
}

export function succeeded(version: string): End {
  return { execution: 'closed', finished: 'success', details: [`installed ${version}`], code: 0 };
}

/** The server has heard it, or, where it does not count there (any more), will never hear it. */
export function afterTold(memory: Memory, owed: Owed, isCounted: boolean): Memory {
  if (memory.owed?.id !== owed.id) return memory;
  const outcome =
    owed.execution === 'downloaded' ? 'downloaded' : owed.finished === 'success' ? 'success' : 'failure';
  const last = lastOf(memory, owed.id, outcome, owed);
  return { ...memory, owed: null, last: isCounted ? last : { ...last, counted: false } };
}

/** An order that the server has closed, by a cancellation that was answered or by itself. */
export function afterClosed(memory: Memory, id: string, outcome: 'cancelled' | 'gone'): Memory {
  const order = memory.order?.id === id ? memory.order : undefined;
  const known = { version: order?.request.version ?? null, md5: order?.request.package_md5 ?? null };
  return {
    ...memory,
    order: order === undefined ? memory.order : null,
    last: lastOf(memory, id, outcome, known),
  };
}

function lastOf(
  { last }: Memory,
  id: string,
  outcome: Last['outcome'],
  { version, md5 }: Pick<Last, 'version' | 'md5'>,
): Last {
  return { id, outcome, version, md5, again: last?.id === id ? last.again : 0 };
}

function afterFailure(memory: Memory, order: Order, heard: Heard): Memory {
  const error = heard.error ?? new UpdateError('INTERNAL_ERROR', 'failed without a reason');
  const { triedMs, hasNewBytes } = heard;
  if (error.mayPass === 'refusal' && order.refusals + 1 < limits.fleetRefusals)
    return { ...memory, order: { ...order, refusals: order.refusals + 1 } };
  if (mayPass(error)) {
    const tries = hasNewBytes ? 1 : order.tries + 1;
    if (tries < limits.fleetTries && (hasNewBytes || triedMs < limits.fleetBudgetMs))
      return { ...memory, order: { ...order, tries, tried_ms: hasNewBytes ? 0 : Math.round(triedMs) } };
  }
  const failures = isOfPackage(error.code)
    ? [...memory.failures, { md5: order.request.package_md5, at: heard.nowMs }].slice(
        -limits.fleetFailures * 3,
      )
    : memory.failures;
  return ended({ ...memory, failures }, order, failed(error, heard.installed));
}

/** True where the same package would fail the same way. Not a refused downgrade: the operator's answer to it is this very package, allowed. */
function isOfPackage(code: ErrorCode): boolean {
  return code !== 'DOWNGRADE_REFUSED' && !downloadFaults.includes(code);
}

const downloadFaults: readonly ErrorCode[] = [
  'DOWNLOAD_FAILED',
  'SIZE_MISMATCH',
  'MD5_MISMATCH',
  'SHA256_MISMATCH',
];

function mayPass({ code, mayPass }: UpdateError): boolean {
  return (
    mayPass === 'outage' ||
    code === 'PACKAGE_EXPIRED' ||
    code === 'OPERATION_IN_PROGRESS' ||
    code === 'DOWNLOAD_INCOMPLETE'
  );
}

function ended(memory: Memory, order: Order, end: End): Memory {
  const { version, package_md5: md5 } = order.request;
  return { ...memory, order: null, owed: { id: order.id, ...end, version, md5 } };
}

function failed(error: UpdateError, installed: string | undefined): End {
  const runs = installed === undefined ? [] : [`version ${installed} runs`];
  return {
    execution: 'closed',
    finished: 'failure',
    details: [error.message, ...runs],
    code: errorNumbers[error.code],
  };
}

/** What a stage is worth telling on the way. */
export function wordOf(
  stage: Stage,
  request: { package_name: string; package_size: number },
): Word | undefined {
  const size = `${(request.package_size / 1e6).toFixed(1)} MB`;
  switch (stage) {
    case 'downloading':
      return {
        key: 'download',
        execution: 'download',
        detail: `downloading ${request.package_name}, ${size}`,
      };
    case 'installing':
      return { key: 'installing', execution: 'proceeding', detail: 'installing' };
    case 'rebooting':
      return { key: 'rebooting', execution: 'proceeding', detail: 'restarting the machine' };
    default:
      return undefined;
  }
}

/** Of a start that finds the order unfinished. */
export function resumedWord(stage: Stage): Word | undefined {
  if (stage !== 'downloading' && stage !== 'installing' && stage !== 'rebooting') return undefined;
  return { key: 'resumed', execution: 'resumed', detail: 'goes on after a restart of the updater' };
}
