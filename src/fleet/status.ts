/** What GET /fleet tells. Pure, but for the clock. */
import { UpdateError } from '../errors.ts';
import type { FleetState } from '../updater/fleet-state.ts';
import type { Question } from './consent.ts';
import type { FleetContext } from './context.ts';
import type { WaitsFor } from './rounds.ts';

export interface Contact {
  /** Wall clock of the last poll that was answered; null: none since the start. */
  readonly contactMs: number | null;
  /** In a row. */
  readonly failures: number;
  readonly problem: string | null;
  readonly nextPollMs: number | null;
  readonly question: Question | undefined;
  readonly waitsFor: WaitsFor;
  readonly polls: { readonly answered: number; readonly failed: number };
}

export function stateOf({ options, remembered }: FleetContext, contact: Contact): FleetState {
  const { order, owed, last, denied } = remembered.current();
  const { question } = contact;
  return {
    server: options.url,
    tenant: options.tenant,
    id: options.id,
    last_contact_at: contact.contactMs === null ? null : new Date(contact.contactMs).toISOString(),
    problem: contact.problem,
    failures: contact.failures,
    next_poll_s: contact.nextPollMs === null ? null : Math.ceil(contact.nextPollMs / 1000),
    order:
      order === null ? null : { id: order.id, version: order.request.version, waits_for: contact.waitsFor },
    question: question === undefined ? null : { ...question, declined: denied === question.id },
    owed: owed === null ? null : { id: owed.id, finished: owed.finished },
    last: last === null ? null : { id: last.id, outcome: last.outcome, version: last.version },
    polls: contact.polls,
  };
}

export function nothingAsked(): never {
  throw new UpdateError('VALIDATION_ERROR', 'confirm: nothing waits for consent');
}
