/**
 * What is told to a DDI server. Pure. Traps of hawkBit (measured on 0.9.0 and 1.1.0): something like a tag, or more than 50
 * details, make a feedback unacceptable; only `closed` ends an order that is not download-only; a wrong `timestamp` keeps an end
 * from counting, so none is sent.
 */
import type { ErrorCode } from '../errors.ts';
import { limits } from '../limits.ts';

export type Execution = 'scheduled' | 'download' | 'downloaded' | 'proceeding' | 'resumed' | 'rejected';

/** Said on the way: once for each key, dropped where it does not get through. */
export interface Word {
  readonly key: string;
  readonly execution: Execution;
  readonly detail: string;
  readonly percent?: number;
}

/** The end of an order, told until the server has heard it. `downloaded` is one for an order to download alone. */
export interface End {
  readonly execution: 'closed' | 'downloaded';
  readonly finished: 'success' | 'failure' | 'none';
  readonly details: readonly string[];
  readonly code: number;
}

export function wordBody({ execution, detail, percent }: Word): object {
  const progress = percent === undefined ? {} : { progress: { cnt: percent, of: 100 } };
  return { status: { execution, result: { finished: 'none', ...progress }, details: [plain(detail)] } };
}

/** `withDetails` false: where a server does not take our words, it shall at least have the end. */
export function endBody({ execution, finished, details, code }: End, withDetails: boolean): object {
  const told = withDetails ? { details: details.slice(0, limits.fleetDetails).map(plain) } : {};
  return { status: { execution, result: { finished }, code, ...told } };
}

/** The answer to a cancellation: only these two mean what they say; `canceled` leaves an order open for ever. */
export function cancelBody(isCancelled: boolean, detail: string): object {
  const [execution, finished] = isCancelled ? ['closed', 'success'] : ['rejected', 'none'];
  return { status: { execution, result: { finished }, details: [plain(detail)] } };
}

export function confirmationBody(isConfirmed: boolean, detail: string): object {
  return {
    confirmation: isConfirmed ? 'confirmed' : 'denied',
    code: isConfirmed ? 20 : 10,
    details: [plain(detail)],
  };
}

/** Our error codes as the numbers of `code`, for filters on the server. Never renumbered; 0 is no error. */
export const errorNumbers: Readonly<Record<ErrorCode, number>> = {
  VALIDATION_ERROR: 101,
  OPERATION_IN_PROGRESS: 102,
  DOWNLOAD_INCOMPLETE: 103,
  MD5_NOT_VERIFIED: 104,
  VERSION_MISMATCH: 105,
  PACKAGE_EXPIRED: 106,
  DOWNLOAD_FAILED: 107,
  SIZE_MISMATCH: 108,
  MD5_MISMATCH: 109,
  SHA256_MISMATCH: 110,
  DISK_FULL: 111,
  INVALID_PACKAGE: 112,
  INVALID_MANIFEST: 113,
  SIGNATURE_INVALID: 114,
  INCOMPATIBLE: 115,
  DOWNGRADE_REFUSED: 116,
  PROCESS_KILL_FAILED: 117,
  DEPLOYMENT_FAILED: 118,
  SERVICE_START_FAILED: 119,
  HEALTH_CHECK_FAILED: 120,
  ROLLBACK_FAILED: 121,
  NO_BACKUP: 122,
  CANCELLED: 123,
  INTERNAL_ERROR: 124,
};

/** On one line, without anything like a tag, no longer than a server keeps in one piece. */
function plain(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}]+/gu, ' ')
    .replaceAll('<', '‹')
    .replaceAll('>', '›')
    .slice(0, limits.fleetDetailChars);
}
