/**
 * What to do about what the server offers: (what is remembered, what the device does, what the server says) -> one move.
 * Pure.
 *
 *     link of a poll          remembered order   move
 *     none                    none               rest
 *     none, or another id     one                ask: is ours still open? Where not, it is given up
 *     its own id              that one           look where it may have changed, then see below
 *     another id              none               look, then begin, refuse, or tell its end from the history
 *     the id that ended last  none               nothing for an hour; then its end once more, or begin anew (gooseBit)
 *
 *     its own order           server says        move
 *     waits to be installed   forced             install
 *                             attempt            install, or wait for consent on the device
 *                             skip, window       wait, say so once
 *                             skip, no window    end it: it was to be downloaded alone
 *     is being carried out    any                rest: what happens to it is heard
 *     neither                 any                its end from the history, else begin it again
 */

import { UpdateError } from '../errors.ts';
import type { HistoryEntry } from '../history.ts';
import { limits } from '../limits.ts';
import { isResting, type Progress } from '../updater/state.ts';
import type { Deployment, Link } from './answers.ts';
import { endOf, refusal, succeeded } from './ends.ts';
import type { Memory, Order, Owed } from './memory.ts';
import { offerOf } from './offer.ts';
import type { Word } from './words.ts';

/** What is at hand on the device: an order of this server, something of a local caller, or nothing. */
export interface Device {
  readonly stage: Progress['stage'];
  /** Id of the order at hand; null: none of this server's. */
  readonly order: string | null;
  readonly isLocal: boolean;
}

export interface Surroundings {
  /** fleet_url. */
  readonly server: URL;
  /** What stands after `@` in the names of this server's orders. */
  readonly tag: string;
  readonly asksConsent: boolean;
  /** Newest last. */
  readonly history: readonly HistoryEntry[];
  readonly installed: string | undefined;
  readonly nowMs: number;
}

export type Move =
  | { readonly do: 'rest' }
  | { readonly do: 'begin'; readonly order: Order; readonly isAgain: boolean }
  | { readonly do: 'owe'; readonly owed: Owed }
  | { readonly do: 'searchHistory' }
  | { readonly do: 'install' }
  | { readonly do: 'downloaded' }
  /** `message`: what a screen shows; empty: what is at hand speaks for itself. */
  | {
      readonly do: 'wait';
      readonly waitsFor: 'consent' | 'window' | 'device';
      readonly word: Word;
      readonly message: string;
    };

export function deviceOf({ stage, facts }: Progress, tag: string): Device {
  if (isResting(stage)) return { stage, order: null, isLocal: false };
  const order = orderOf(facts?.action ?? null, tag);
  return { stage, order, isLocal: order === null };
}

/** The id of an order of this server by its name; null: it is none. */
export function orderOf(name: string | null, tag: string): string | null {
  return name?.endsWith(`@${tag}`) === true ? name.slice(0, -tag.length - 1) : null;
}

export function nameOf(id: string, tag: string): string {
  return `${id}@${tag}`;
}

/** Before anything is fetched. */
export function onLink({ order }: Memory, link: Link | undefined): 'rest' | 'ask' | 'look' {
  if (order !== null && link?.id !== order.id) return 'ask';
  return link === undefined ? 'rest' : 'look';
}

/** True where what was fetched last still stands; a link without a query tells no change. What has ended is not fetched: hawkBit would reopen it. */
export function isKnown(link: Link, known: Link | undefined, device: Device): boolean {
  const isSame = known?.id === link.id && known.query === link.query;
  return isSame && (link.query !== '' || device.stage !== 'toInstall');
}

/** With the deployment that the link leads to. */
export function onDeployment(
  memory: Memory,
  device: Device,
  deployment: Deployment,
  around: Surroundings,
): Move {
  const { order } = memory;
  return order !== null && order.id === deployment.id
    ? onOwn(order, device, deployment, around)
    : onNew(memory, device, deployment, around);
}

function onOwn(
  order: Order,
  device: Device,
  { download, update, hasWindow }: Deployment,
  { asksConsent }: Surroundings,
): Move {
  if (device.isLocal) return localWait;
  if (device.order === null) return download === 'skip' ? { do: 'rest' } : { do: 'searchHistory' };
  if (device.order !== order.id || device.stage !== 'toInstall') return { do: 'rest' };
  if (update === 'skip' && !hasWindow) return { do: 'downloaded' };
  if (update === 'skip') return windowWait;
  return update === 'attempt' && asksConsent ? consentWait : { do: 'install' };
}

function onNew(memory: Memory, device: Device, deployment: Deployment, around: Surroundings): Move {
  const { id } = deployment;
  const { history, tag, installed, nowMs } = around;
  const isAgain = memory.last?.id === id;
  const past = history.findLast(({ fleet_action }) => fleet_action === nameOf(id, tag));
  // What was remembered of it is lost, and its package may be at hand yet.
  if (!isAgain && past !== undefined && device.order !== id)
    return { do: 'owe', owed: { id, ...endOf(past), version: past.version, md5: null } };
  const offer = offerOf(deployment, around.server);
  if (offer.kind === 'refused') return { do: 'owe', owed: refusal(id, offer.error, installed) };
  const { request } = offer;
  const { last } = memory;
  if (
    isAgain &&
    last?.outcome === 'success' &&
    last.md5 === request.package_md5 &&
    installed === request.version
  ) {
    const { version, package_md5: md5 } = request;
    return { do: 'owe', owed: { id, ...succeeded(version), version, md5 } };
  }
  const tired = tiredOf(memory, request.package_md5, nowMs);
  if (tired !== undefined) return { do: 'owe', owed: refusal(id, tired, installed) };
  if (device.isLocal) return localWait;
  if (deployment.download === 'skip') return { do: 'rest' };
  const after = history.at(-1)?.id ?? null;
  const order = { id, request, after, ...untried };
  return { do: 'begin', order, isAgain };
}

const untried = { cancelling: false, told: [], tries: 0, tried_ms: 0, refusals: 0 };

/** A server that tries again and again must not stop services all day. */
function tiredOf({ failures }: Memory, md5: string, nowMs: number): UpdateError | undefined {
  const recent = failures.filter(
    (failure) => failure.md5 === md5 && Math.abs(nowMs - failure.at) < limits.fleetFailuresMs,
  );
  const [first] = recent;
  if (first === undefined || recent.length < limits.fleetFailures) return undefined;
  const since = new Date(first.at).toISOString();
  return new UpdateError(
    'DEPLOYMENT_FAILED',
    `this package failed ${recent.length} times since ${since}: not tried again today`,
  );
}

const localWait: Move = {
  do: 'wait',
  waitsFor: 'device',
  word: {
    key: 'local',
    execution: 'scheduled',
    detail: 'waits: something that was begun on the device comes first',
  },
  message: '',
};
const windowWait: Move = {
  do: 'wait',
  waitsFor: 'window',
  word: { key: 'downloaded', execution: 'downloaded', detail: 'verified, waits for its time window' },
  message: 'scheduled: waits for its time window',
};
const consentWait: Move = {
  do: 'wait',
  waitsFor: 'consent',
  word: { key: 'consent', execution: 'scheduled', detail: 'waits for consent on the device' },
  message: 'waits for your consent',
};
