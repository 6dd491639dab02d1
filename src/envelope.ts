/** The JSON envelope of every reply and every report (spec sections 2, 3): `code` is 200, or the error's code with `msg` "CODE: text". Pure. */
import type { UpdateError } from './errors.ts';
import { apiCode } from './errors.ts';
import type { Progress } from './updater/state.ts';

export interface Success<Data> {
  readonly code: 200;
  readonly msg: 'success';
  readonly data: Data;
}

export interface Refusal {
  readonly code: number;
  readonly msg: string;
}

/** How the failed stage reads: the error in the envelope, the stage for readers that know no `data`. */
export interface FailedProgress extends Refusal {
  readonly code: 500;
  readonly stage: 'failed';
  readonly progress: number;
  readonly data: Progress;
}

export type ProgressEnvelope = Success<Progress> | FailedProgress;

export function success<Data>(data: Data): Success<Data> {
  return { code: 200, msg: 'success', data };
}

export function refusal(error: UpdateError): Refusal {
  return { code: apiCode(error.code), msg: error.message };
}

/** What GET /progress answers, and what a report carries in its envelope. */
export function progressEnvelope(current: Progress): ProgressEnvelope {
  const { stage, progress, message, error } = current;
  const data = { stage, progress, message, error };
  if (stage !== 'failed') return success(data);
  return { code: 500, msg: error ?? `INTERNAL_ERROR: ${message}`, stage, progress, data };
}
