/**
 * The closed set of failures and what each means to a caller (spec section 2, FR-020). Anything that is thrown and is no
 * UpdateError is a bug, and surfaces as INTERNAL_ERROR.
 */

/** What each code answers in the `code` field of the API's envelope. */
const apiCodes = {
  VALIDATION_ERROR: 400,
  OPERATION_IN_PROGRESS: 409,
  DOWNLOAD_INCOMPLETE: 409,
  MD5_NOT_VERIFIED: 409,
  VERSION_MISMATCH: 409,
  PACKAGE_EXPIRED: 410,
  DOWNLOAD_FAILED: 500,
  SIZE_MISMATCH: 500,
  MD5_MISMATCH: 500,
  SHA256_MISMATCH: 500,
  DISK_FULL: 500,
  INVALID_PACKAGE: 500,
  INVALID_MANIFEST: 500,
  SIGNATURE_INVALID: 500,
  INCOMPATIBLE: 409,
  DOWNGRADE_REFUSED: 409,
  PROCESS_KILL_FAILED: 500,
  DEPLOYMENT_FAILED: 500,
  SERVICE_START_FAILED: 500,
  HEALTH_CHECK_FAILED: 500,
  ROLLBACK_FAILED: 500,
  NO_BACKUP: 404,
  CANCELLED: 409,
  INTERNAL_ERROR: 500,
} as const;

export type ErrorCode = keyof typeof apiCodes;

export const errorCodes = Object.keys(apiCodes) as readonly ErrorCode[];

/** Why the same may succeed later: nobody answered to the end (`outage`), or the server keeps the package for now (`refusal`: 401, 403, 404). */
export type MayPass = 'outage' | 'refusal';

/** An expected failure. `message` is `CODE: text`; `text` names the facts: expected and actual, path, errno. */
export class UpdateError extends Error {
  override readonly name = 'UpdateError';
  readonly code: ErrorCode;
  /** Undefined: final, or not known. Part of no text. */
  readonly mayPass: MayPass | undefined;

  constructor(code: ErrorCode, text: string, options?: { cause?: unknown; mayPass?: MayPass }) {
    super(`${code}: ${text}`, options);
    this.code = code;
    this.mayPass = options?.mayPass;
  }

  /** The error whose message was written down earlier, in a journal or in state.json. */
  static parse(message: string): UpdateError {
    const [, name, text] = /^([A-Z0-9_]+): (.*)$/s.exec(message) ?? [];
    const code = errorCodes.find((known) => known === name);
    return new UpdateError(code ?? 'INTERNAL_ERROR', (code && text) ?? message);
  }
}

/** The envelope's `code` for an error (spec section 2, last column). */
export function apiCode(code: ErrorCode): number {
  return apiCodes[code];
}

/** The system error code (`ENOENT`, `ENOSPC`, ...) of anything thrown, or undefined. */
export function errno(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** What it says, of anything thrown. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The same with where it came from: for what no one expected. */
export function errorStack(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

/** Anything thrown as an UpdateError: a full disk is DISK_FULL, another system error `code` with `what` and its words, the rest INTERNAL_ERROR. */
export function asUpdateError(thrown: unknown, code: ErrorCode, what: string): UpdateError {
  if (thrown instanceof UpdateError) return thrown;
  const system = errno(thrown);
  const words = errorText(thrown);
  if (system === 'ENOSPC' || system === 'EDQUOT')
    return new UpdateError('DISK_FULL', `${what}: ${words}`, { cause: thrown });
  if (system !== undefined) return new UpdateError(code, `${what}: ${words}`, { cause: thrown });
  return new UpdateError('INTERNAL_ERROR', `${what}: ${words}`, { cause: thrown });
}
