/** `tope-updater fleet`: what the fleet's server wants of this device; asks it now, or answers its question. */

import { UsageError } from '../config.ts';
import type { FleetRequest, FleetState } from '../updater/fleet-state.ts';
import type { CommandInvocation } from './arguments.ts';
import { clientOf } from './client.ts';
import { isSet } from './flags.ts';
import { createOutput } from './output.ts';

const requests: Readonly<Record<string, FleetRequest>> = {
  poll: { poll: true },
  confirm: { confirm: true },
  decline: { confirm: false },
};

/** Exit status 1 where the server did not answer the last poll. */
export async function fleet({ flags, operands }: CommandInvocation): Promise<number> {
  const [what] = operands;
  const request = what === undefined ? undefined : requests[what];
  if (what !== undefined && request === undefined)
    throw new UsageError(`fleet: "${what}" is none of poll, confirm, decline`);
  const client = await clientOf(flags);
  const state = request === undefined ? await client.fleet() : await client.askFleet(request);
  const output = createOutput(process.stdout, process.env);
  if (isSet(flags, 'json')) output.line(JSON.stringify(state));
  else for (const line of linesOf(state)) output.line(line);
  return state.problem === null ? 0 : 1;
}

function linesOf(state: FleetState): string[] {
  const { server, id, order, question, owed, last, problem, last_contact_at, next_poll_s } = state;
  if (server === null) return ['this device belongs to no fleet: the daemon has no fleet_url'];
  const contact =
    last_contact_at === null ? 'has not answered yet' : `last answered at ${last_contact_at.slice(0, 19)}Z`;
  return [
    `${server} as ${id}: ${contact}${next_poll_s === null ? '' : `, asked again in ${next_poll_s} s`}`,
    ...(problem === null ? [] : [`problem: ${problem}`]),
    ...(order === null ? [] : [`order ${order.id}: version ${order.version}${waits(order.waits_for)}`]),
    ...(question === null ? [] : [questionLine(question)]),
    ...(owed === null
      ? []
      : [`order ${owed.id} has ended with ${owed.finished}; the server has not heard it yet`]),
    ...(last === null
      ? []
      : [`last order: ${last.id}, ${last.outcome}${last.version === null ? '' : ` (${last.version})`}`]),
  ];
}

function waits(whom: 'consent' | 'window' | 'device' | null): string {
  switch (whom) {
    case 'consent':
      return ', waits for consent: tope-updater fleet confirm';
    case 'window':
      return ', waits for its time window';
    case 'device':
      return ', waits: what was begun on this device comes first';
    case null:
      return '';
    default:
      return whom satisfies never;
  }
}

function questionLine({ id, version, declined }: NonNullable<FleetState['question']>): string {
  const asked = `order ${id}: version ${version ?? '?'}`;
  return declined
    ? `${asked} was declined; tope-updater fleet confirm still takes it`
    : `${asked} waits for a yes: tope-updater fleet confirm, or decline`;
}
