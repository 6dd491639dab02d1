/**
 * One poll, and what follows from its answer; the decisions are in decide.ts and cancel.ts. What is done is remembered before,
 * so that a cut finds the order again.
 */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type Deployment, type Link, readDeployment, readPoll } from './answers.ts';
import { begun, cancelling, offeredAgain, owing } from './beginnings.ts';
import { onCancel } from './cancel.ts';
import { type Consent, createConsent } from './consent.ts';
import { type FleetContext, pastOf } from './context.ts';
import { type Device, deviceOf, isKnown, type Move, nameOf, onDeployment, onLink } from './decide.ts';
import { afterClosed, afterHistory, downloadedEnd, refusedOrder } from './ends.ts';
import { readWith } from './exchange.ts';
import { createInventory, type Inventory } from './inventory.ts';
import type { Order } from './memory.ts';
import { retryMs, sameIdMs } from './schedule.ts';
import type { Teller } from './teller.ts';
import { cancelBody } from './words.ts';

/** Whom an order waits for; null: nobody. */
export type WaitsFor = 'consent' | 'window' | 'device' | null;

export interface Rounds {
  readonly inventory: Inventory;
  readonly consent: Consent;
  /** Asks once; true: there may be more to answer at once. Throws a ServerFault. */
  once(): Promise<boolean>;
  waitsFor(): WaitsFor;
  /** A download failed in a way that may pass: it is begun again after a while. */
  failed(order: Order): void;
  /** Looks in the history for the end of an order of which nobody will tell any more. */
  searchHistory(): Promise<void>;
}

export function createRounds(context: FleetContext, teller: Teller): Rounds {
  const { host, options, remembered, exchange, updater, tag } = context;
  const { clock } = host;
  const inventory = createInventory(context);
  const consent = createConsent(context);
  let known: { readonly link: Link; readonly deployment: Deployment } | undefined;
  /** As the last poll that was answered found it, and as the one under way has found it so far. */
  let waitsFor: WaitsFor = null;
  let found: WaitsFor = null;
  let retryAtMs = 0;
  let stampedAtMs = Number.NEGATIVE_INFINITY;
  let sameIdAtMs = 0;
  let askedOf: string | undefined;

  const device = (): Device => deviceOf(updater().progress(), tag);

  /** Once somebody on the device installs or replaces the package, it waits no longer, whatever the last poll found. */
  function isAtHand(): boolean {
    const { order, stage } = device();
    return stage === 'toInstall' && order !== null && order === remembered.current().order?.id;
  }

  async function once(): Promise<boolean> {
    found = null;
    const mayHaveMore = await poll();
    waitsFor = found;
    return mayHaveMore;
  }

  async function poll(): Promise<boolean> {
    if (await teller.end()) {
      sameIdAtMs = clock.elapsed() + sameIdMs(remembered.current().last?.again ?? 0);
      inventory.changed();
    }
    const { body } = await exchange.ask('GET', '');
    const answer = readWith(readPoll, body, 'poll');
    const { sleepMs, cancel, confirmation } = answer;
    if (sleepMs !== undefined && sleepMs !== remembered.current().sleep_ms)
      await remembered.change((memory) => ({ ...memory, sleep_ms: sleepMs }));
    await inventory.tell(answer.wantsAttributes);
    if (confirmation === undefined) consent.withdraw();
    if (cancel !== undefined) return onCancelled(cancel.id);
    const { order } = remembered.current();
    if (confirmation !== undefined && order === null) return consent.asked(confirmation);
    return onOffered(answer.deployment);
  }

  async function onOffered(link: Link | undefined): Promise<boolean> {
    const { order, last } = remembered.current();
    if (order === null && link !== undefined && last?.id === link.id && clock.elapsed() < sameIdAtMs)
      return false;
    switch (onLink(remembered.current(), link)) {
      case 'rest':
        return false;
      case 'ask':
        return order === null ? false : isSuperseded(order, link?.id ?? '');
      case 'look': {
        if (link === undefined || !(await look(link)) || known === undefined) return false;
        await remembered.change((memory) => offeredAgain(memory, link.id));
        const { history, installed } = await pastOf(updater());
        const around = {
          server: context.url,
          tag,
          asksConsent: options.asksConsent,
          history,
          installed,
          nowMs: clock.now(),
        };
        return carryOut(onDeployment(remembered.current(), device(), known.deployment, around));
      }
    }
  }

  /** True where `known` is what the link leads to. */
  async function look(link: Link): Promise<boolean> {
    if (isKnown(link, known?.link, device())) return true;
    const path = `/deploymentBase/${link.id}${link.query}`;
    const { status, body } = await exchange.ask('GET', path, undefined, limits.fleetAnswerBytes);
    // It has just been cancelled, or (gooseBit: `null`) there is none.
    if (status !== 200 || body === null) return false;
    const deployment = readWith(readDeployment, body, 'deploymentBase');
    if (deployment.id !== link.id) return false;
    known = { link, deployment };
    return true;
  }

  /** The server shows another order, or none: where ours is closed there, it is given up; an install goes on to its end. */
  async function isSuperseded(order: Order, other: string): Promise<boolean> {
    if (askedOf === `${order.id} ${other}`) return false;
    const isOpen = await teller.isOpen(order.id);
    if (isOpen) askedOf = `${order.id} ${other}`;
    const { order: atHand, stage } = device();
    if (isOpen || (atHand === order.id && (stage === 'installing' || stage === 'rebooting'))) return false;
    host.log.info(`fleet: order ${order.id} is closed by the server`);
    await remembered.change((memory) => afterClosed(memory, order.id, 'gone'));
    if (atHand === order.id) await stop(order.id);
    return true;
  }

  async function carryOut(move: Move): Promise<boolean> {
    const { order } = remembered.current();
    switch (move.do) {
      case 'rest':
        return false;
      case 'begin': {
        const after = await remembered.change((memory) => begun(memory, move));
        if (after.order !== move.order) return false;
        host.log.info(
          `fleet: order ${move.order.id}: ${move.order.request.package_name}, ${move.order.request.version}`,
        );
        return download(move.order);
      }
      case 'searchHistory':
        await searchHistory();
        if (remembered.current().order === null) return true;
        return order !== null && clock.elapsed() >= retryAtMs ? download(order) : false;
      case 'owe':
        await remembered.change((memory) => owing(memory, move));
        return true;
      case 'downloaded':
        await remembered.change((memory) =>
          order !== null && memory.order?.id === order.id ? downloadedEnd(memory, order) : memory,
        );
        return true;
      case 'install':
        return order === null ? false : install(order);
      case 'wait':
        found = move.waitsFor;
        if (move.message !== '') updater().say(move.message);
        if (known !== undefined) await teller.say(known.deployment.id, move.word);
        if (order !== null && device().order === order.id) await stamp(order);
        return false;
      default:
        return move satisfies never;
    }
  }

  async function download(order: Order): Promise<boolean> {
    try {
      await updater().download(order.request, nameOf(order.id, tag));
      stampedAtMs = clock.elapsed();
    } catch (thrown) {
      await refusedByUpdater(order, thrown);
    }
    return false;
  }

  async function install(order: Order): Promise<boolean> {
    await teller.say(order.id, { key: 'downloaded', execution: 'downloaded', detail: 'verified' });
    const { version, allow_downgrade = false } = order.request;
    try {
      await updater().update({ version, allow_downgrade }, nameOf(order.id, tag));
    } catch (thrown) {
      if (await refusedByUpdater(order, thrown)) await stop(order.id);
    }
    return false;
  }

  /** True where that is the order's end. What a busy device refuses is tried again. */
  async function refusedByUpdater(order: Order, thrown: unknown): Promise<boolean> {
    if (!(thrown instanceof UpdateError)) throw thrown;
    const { order: atHand, isLocal } = device();
    const isBusy = thrown.code === 'OPERATION_IN_PROGRESS' && (isLocal || atHand !== null);
    host.log.info(`fleet: order ${order.id}: ${thrown.message}`);
    if (
      isBusy ||
      ['DISK_FULL', 'INTERNAL_ERROR', 'PACKAGE_EXPIRED', 'DOWNLOAD_INCOMPLETE'].includes(thrown.code)
    )
      return false;
    const { installed } = await pastOf(updater());
    await remembered.change((memory) => refusedOrder(memory, order, thrown, installed));
    return true;
  }

  async function stamp(order: Order): Promise<void> {
    if (clock.elapsed() - stampedAtMs >= limits.fleetStampMs) await download(order);
  }

  async function stop(id: string): Promise<void> {
    await updater()
      .cancel(nameOf(id, tag))
      .catch((thrown: unknown) => {
        if (!(thrown instanceof UpdateError)) throw thrown;
        host.log.debug(`fleet: order ${id}: ${thrown.message}`);
      });
  }

  async function onCancelled(id: string): Promise<boolean> {
    switch (onCancel(remembered.current(), device(), id)) {
      case 'tellEnd':
        return true;
      case 'agree':
        return agree(id);
      case 'refuse':
        return refuse(id);
      case 'stop':
        await remembered.change((memory) => cancelling(memory, id));
        await stop(id);
        if (remembered.current().owed !== null) return true; // it ended first: that counts
        return device().order === id ? refuse(id) : agree(id);
    }
  }

  async function agree(id: string): Promise<boolean> {
    await answerCancel(id, true, 'stopped before anything was changed');
    await remembered.change((memory) => afterClosed(memory, id, 'cancelled'));
    return true;
  }

  async function refuse(id: string): Promise<boolean> {
    if (remembered.current().order?.told.includes('rejected') === true) return false;
    await answerCancel(id, false, 'files are being replaced, it is too late to cancel');
    await remembered.change(({ order, ...memory }) => ({
      ...memory,
      order: order === null ? null : { ...order, cancelling: false, told: [...order.told, 'rejected'] },
    }));
    return true;
  }

  async function answerCancel(id: string, isCancelled: boolean, detail: string): Promise<void> {
    const body = cancelBody(isCancelled, detail);
    const { status } = await exchange.ask('POST', `/cancelAction/${id}/feedback`, body);
    host.log.info(
      `fleet: order ${id} is ${isCancelled ? 'cancelled' : 'not cancelled'}: ${detail} (HTTP ${status})`,
    );
  }

  async function searchHistory(): Promise<void> {
    const { order } = remembered.current();
    if (order === null || device().order === order.id) return;
    const { history } = await pastOf(updater());
    await remembered.change((memory) => afterHistory(memory, history, nameOf(order.id, tag)));
  }

  return {
    inventory,
    consent,
    once,
    waitsFor: () => (waitsFor === 'device' || isAtHand() ? waitsFor : null),
    failed: (order) => {
      retryAtMs = clock.elapsed() + retryMs(Math.max(1, order.tries));
    },
    searchHistory,
  };
}
