/** Between the machine's state and what state.json says of it. Pure. */

import * as v from 'valibot';
import { PackageSchema } from '../download/request.ts';
import { noValidators, type ResumeInfo, ResumeSchema } from '../download/resume.ts';
import { UpdateError } from '../errors.ts';
import type { Operation, State } from './event.ts';
import { initialState } from './machine.ts';
import type { Decision } from './recover.ts';
import type { Saved } from './store.ts';
import { verifiedOf } from './waiting.ts';

/** What to write down; undefined: nothing worth remembering. */
export function savedOf(
  state: State,
  resume: ResumeInfo | undefined,
  installStarts: number,
  nowMs: number,
): Saved | undefined {
  const { operation } = state;
  if (operation === null) return undefined;
  const common = {
    stage: state.stage,
    last_update: new Date(nowMs).toISOString(),
    error: state.error?.message ?? null,
    install_starts: installStarts,
  };
  if (operation.kind === 'rollback') {
    const { version, because } = operation;
    return { operation: 'rollback', version, ...common, ...(because && { because: because.message }) };
  }
  if (operation.kind === 'repair') return { operation: 'repair', ...common };
  const { request, verifiedMs, verifiedBoot, seal, notes, action } = operation;
  const verifiedAt = verifiedMs === null ? null : new Date(verifiedMs).toISOString();
  return {
    operation: 'update',
    ...request,
    ...(resume ?? { bytes_downloaded: 0, ...noValidators }),
    ...common,
    verified_at: verifiedAt,
    ...(verifiedAt !== null && verifiedBoot ? { verified_boot: { ...verifiedBoot, at: verifiedAt } } : {}),
    ...(seal === null ? {} : { package_seal: seal }),
    ...(notes === undefined ? {} : { package_notes: notes }),
    ...(action === null ? {} : { fleet_action: action }),
  };
}

/** The state that a start begins with, before its decision is carried out. */
export function stateOf(saved: Saved | undefined, decision: Decision): State {
  const operation = saved === undefined ? null : operationOf(saved);
  switch (decision.do) {
    case 'rest':
      return initialState;
    case 'restWithPartial':
      return { ...initialState, operation };
    case 'download':
      return { ...initialState, stage: 'downloading', operation };
    case 'wait':
    case 'expire':
      return { ...initialState, stage: 'toInstall', operation };
    case 'install':
    case 'forward':
    case 'undo':
      return { ...initialState, stage: saved?.stage === 'rebooting' ? 'rebooting' : 'installing', operation };
    case 'fail':
      return { ...initialState, stage: saved?.stage === 'toInstall' ? 'toInstall' : 'installing', operation };
    case 'block':
      return {
        ...initialState,
        stage: 'failed',
        operation,
        error: decision.error,
        blocked: blockedText(decision.error),
      };
    default:
      return decision satisfies never;
  }
}

/** What state.json remembers for the resume of a download; undefined for a rollback. */
export function resumeOf(saved: Saved | undefined): ResumeInfo | undefined {
  if (saved?.operation !== 'update') return undefined;
  return v.parse(ResumeSchema, saved);
}

function operationOf(saved: Saved): Operation {
  if (saved.operation === 'rollback') {
    const { version, because } = saved;
    return {
      kind: 'rollback',
      version,
      ...(because !== undefined && { because: UpdateError.parse(because) }),
    };
  }
  if (saved.operation === 'repair') return { kind: 'repair' };
  return {
    kind: 'update',
    request: v.parse(PackageSchema, saved),
    ...verifiedOf(saved),
    seal: saved.package_seal ?? null,
    notes: saved.package_notes,
    action: saved.fleet_action ?? null,
  };
}

function blockedText(error: UpdateError): string {
  return error.message.slice(error.code.length + 2);
}
