/**
 * From a request that passed the door to its reply (spec section 2): check the body, call the updater, wrap the outcome. On an
 * endpoint the HTTP status is 200 whatever happens.
 */
import * as v from 'valibot';
import { progressEnvelope, refusal, success } from '../envelope.ts';
import { asUpdateError, errorStack, UpdateError } from '../errors.ts';
import type { Log } from '../host/host.ts';
import { type FleetControl, type FleetRequest, type FleetState, noFleet } from '../updater/fleet-state.ts';
import type { Updater } from '../updater/state.ts';
import { type EndpointName, endpoints } from './contract.ts';

/** What answers. `version`: the program's. */
export interface Service {
  readonly updater: Updater;
  /** Undefined: the device belongs to none. */
  readonly fleet: FleetControl | undefined;
  readonly log: Log;
  readonly version: string;
  readonly uptimeMs: () => number;
}

/** The envelope that answers one call of an endpoint; `body` is undefined when the request had none. Never rejects. */
export async function answer(
  service: Service,
  name: EndpointName,
  body: Uint8Array | undefined,
): Promise<object> {
  const { method, path } = endpoints[name];
  const { log } = service;
  try {
    const reply = await call(service, name, body);
    if (method === 'POST') log.info(`${method} ${path}: accepted`);
    return reply;
  } catch (thrown) {
    const error = asUpdateError(thrown, 'INTERNAL_ERROR', `${method} ${path}`);
    if (error.code === 'INTERNAL_ERROR') log.error(`${error.message}\n${errorStack(thrown)}`);
    else log.warn(`${method} ${path} refused: ${error.message}`);
    return refusal(error);
  }
}

async function call(
  { updater, fleet, version, uptimeMs }: Service,
  name: EndpointName,
  body: Uint8Array | undefined,
): Promise<object> {
  switch (name) {
    case 'download':
      return success({ status: await updater.download(checked(endpoints.download.request, body)) });
    case 'update':
      return success({ status: await updater.update(checked(endpoints.update.request, body)) });
    case 'hold':
      return success({ holds: await updater.hold(checked(endpoints.hold.request, body)) });
    case 'release': {
      const { owner } = checked(endpoints.release.request, body);
      return success({ holds: await updater.release(owner) });
    }
    case 'progress':
      return progressEnvelope(updater.progress());
    case 'cancel':
      checked(endpoints.cancel.request, body ?? emptyBody);
      return success({ status: await updater.cancel() });
    case 'rollback': {
      const { version } = checked(endpoints.rollback.request, body ?? emptyBody);
      return success({ status: await updater.rollback(version) });
    }
    case 'history':
      return success({ updates: await updater.history() });
    case 'versions':
      return success(await updater.versions());
    case 'audit':
      return success(updater.auditState());
    case 'startAudit':
      return success({
        status: await updater.audit(checked(endpoints.startAudit.request, body ?? emptyBody)),
      });
    case 'fleet':
      return success(fleet?.state() ?? noFleet);
    case 'askFleet':
      return success(await askFleet(fleet, checked(endpoints.askFleet.request, body)));
    case 'healthz': {
      const { stage } = updater.progress();
      return success({ status: 'ok', version, stage, uptime_s: Math.floor(uptimeMs() / 1000) });
    }
    default:
      return name satisfies never;
  }
}

async function askFleet(fleet: FleetControl | undefined, { confirm }: FleetRequest): Promise<FleetState> {
  if (fleet === undefined)
    throw new UpdateError('VALIDATION_ERROR', 'this device belongs to no fleet: the daemon has no fleet_url');
  if (confirm === undefined) fleet.poll();
  else await fleet.answer(confirm);
  return fleet.state();
}

const emptyBody = Buffer.from('{}');

/** The body as the schema's output, or VALIDATION_ERROR naming each field and what is wrong with it. */
function checked<Output>(schema: v.GenericSchema<unknown, Output>, body: Uint8Array | undefined): Output {
  const input = parse(body);
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  throw new UpdateError('VALIDATION_ERROR', result.issues.map(issueText).join('; '));
}

function parse(body: Uint8Array | undefined): object {
  if (body === undefined) throw new UpdateError('VALIDATION_ERROR', 'body: is empty, must be a JSON object');
  let value: unknown;
  try {
    // Fatal: a name with replacement characters in it would not be the name that was asked for.
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (thrown) {
    const why = thrown instanceof SyntaxError ? 'is not JSON' : 'is not UTF-8';
    throw new UpdateError('VALIDATION_ERROR', `body: ${why}`, { cause: thrown });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UpdateError('VALIDATION_ERROR', `body: must be a JSON object, not ${kindOf(value)}`);
  return value;
}

/** `field: what is wrong`. Values are not repeated: they may be long, or a signed URL. */
function issueText(issue: v.BaseIssue<unknown>): string {
  const field = v.getDotPath(issue) ?? 'body';
  if (issue.kind !== 'schema') return `${field}: ${issue.message}`;
  if (issue.received === 'undefined') return `${field}: is missing`;
  return `${field}: must be a ${issue.expected}, not ${kindOf(issue.input)}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
