/**
 * The client of a fleet's server (hawkBit DDI): polls, lets rounds.ts answer, and hears what the updater does with an order. One
 * request at a time; an end is on the disk before the updater forgets the operation (`listener` is awaited); a server that is
 * away never costs an update.
 */

import { posix } from 'node:path';
import { errorStack, errorText } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { FleetControl, FleetState } from '../updater/fleet-state.ts';
import type { ProgressListener } from '../updater/state.ts';
import { type Driven, type FleetContext, type FleetOptions, pastOf } from './context.ts';
import { nameOf, orderOf } from './decide.ts';
import { afterStage, resumedWord, wordOf } from './ends.ts';
import { createExchange, ServerFault } from './exchange.ts';
import { digestOf } from './inventory.ts';
import { openMemory } from './memory.ts';
import { createRounds } from './rounds.ts';
import { afterFailureMs, firstPollMs, nextPollMs } from './schedule.ts';
import { nothingAsked, stateOf } from './status.ts';
import { createTeller } from './teller.ts';
import { authorizationOf } from './token.ts';

export interface Fleet extends FleetControl {
  readonly listener: ProgressListener;
  /** For downloads: the token, where the URL is of the server's own origin. */
  authorizationFor(url: URL): Promise<string | undefined>;
  /** Begins to poll; the updater has recovered. */
  begin(): void;
  /** Before the updater stops. */
  stop(): Promise<void>;
}

/** `random`: from 0 to 1, another one for each call. Rejects only where files cannot be read at all. */
export async function createFleet(
  host: Host,
  options: FleetOptions,
  updater: () => Driven,
  random: () => number = Math.random,
): Promise<Fleet> {
  const { clock, log } = host;
  const { url, tenant, id } = options;
  const stopping = new AbortController();
  const tag = (await digestOf(`${url} ${tenant} ${id}`)).slice(0, 8);
  const path = posix.join(options.workDirectory, 'tmp', 'fleet.json');
  const remembered = await openMemory(host, path, { url, tenant, id });
  const exchange = createExchange(host, {
    base: `${url.replace(/\/+$/, '')}/${tenant}/controller/v1/${id}`,
    authorization: () => authorizationOf(host, options),
    signal: stopping.signal,
  });
  const context: FleetContext = { host, options, url: new URL(url), tag, remembered, exchange, updater };
  const teller = createTeller(context);
  const rounds = createRounds(context, teller);

  let wake = new AbortController();
  let isWoken = false;
  let isPollDue = false;
  let nextMs = 0;
  let failures = 0;
  let problem: string | null = null;
  let contactMs: number | null = null;
  const polls = { answered: 0, failed: 0 };
  let running: Promise<void> | undefined;
  /** Of the download at hand: up to when its tries are counted in the order. */
  let sinceMs = clock.elapsed();
  let bytesBefore = 0;
  let wordedMs = Number.NEGATIVE_INFINITY;

  const rouse = (pollIsDue: boolean) => {
    isPollDue ||= pollIsDue;
    isWoken = true;
    wake.abort(new Error('there is something to tell'));
  };

  const listener: ProgressListener = async (progress, urgent, error) => {
    const { stage, facts } = progress;
    const { order } = remembered.current();
    const heardOf = orderOf(facts?.action ?? null, tag);
    const isOurs = order !== null && heardOf === order.id;
    if (!urgent) {
      if (isOurs) hearOnTheWay(order.id, progress.message, stage === 'downloading' ? progress.progress : 0);
      return;
    }
    if (stage === 'success' || stage === 'failed') {
      rounds.inventory.changed();
      if (!isOurs) rouse(true);
    }
    if (!isOurs) return;
    if (stage === 'downloading') {
      if (order.tries === 0) sinceMs = clock.elapsed();
      bytesBefore = facts?.receivedBytes ?? 0;
    }
    const word = running === undefined ? resumedWord(stage) : wordOf(stage, order.request);
    if (word !== undefined) teller.hear(order.id, word);
    const { installed } = stage === 'failed' ? await pastOf(updater()) : { installed: undefined };
    const triedMs = order.tried_ms + clock.elapsed() - sinceMs;
    const hasNewBytes = (facts?.receivedBytes ?? 0) > bytesBefore;
    const heard = { stage, order: heardOf, error, installed, nowMs: clock.now(), triedMs, hasNewBytes };
    await remembered.note((memory) => afterStage(memory, heard));
    if (stage === 'failed') sinceMs = clock.elapsed();
    const left = remembered.current().order;
    if (stage === 'failed' && left !== null) rounds.failed(left);
    rouse(left === null || stage === 'toInstall');
  };

  function hearOnTheWay(order: string, message: string, percent: number): void {
    const hold = /^waiting for (.*) \(until /.exec(message)?.[1];
    if (hold !== undefined)
      teller.hear(order, { key: 'hold', execution: 'scheduled', detail: `waiting for ${hold}` });
    const step = Math.floor(percent / limits.fleetWordPercent) * limits.fleetWordPercent;
    const isDue = step > 0 && step < 100 && clock.elapsed() - wordedMs >= limits.fleetWordMs;
    if (isDue) {
      wordedMs = clock.elapsed();
      teller.hear(order, {
        key: `${step}%`,
        execution: 'proceeding',
        detail: `downloading, ${step} %`,
        percent: step,
      });
    }
    if (isDue || hold !== undefined) rouse(false);
  }

  async function run(): Promise<void> {
    await rounds.searchHistory();
    const { order, owed, sleep_ms } = remembered.current();
    nextMs = clock.elapsed() + firstPollMs(sleep_ms ?? undefined, order !== null || owed !== null, random());
    log.info(`fleet: ${url} as ${id}, first asked in ${Math.round((nextMs - clock.elapsed()) / 1000)} s`);
    while (!stopping.signal.aborted) {
      await untilDue();
      if (stopping.signal.aborted) return;
      if (failures === 0) await teller.words();
      if (isPollDue || clock.elapsed() >= nextMs) await round();
    }
  }

  async function untilDue(): Promise<void> {
    if (!isWoken) {
      const ms = Math.max(0, nextMs - clock.elapsed());
      await clock.sleep(ms, AbortSignal.any([wake.signal, stopping.signal])).catch(() => undefined);
    }
    isWoken = false;
    wake = new AbortController();
  }

  async function round(): Promise<void> {
    isPollDue = false;
    try {
      for (let polled = 0; polled < limits.fleetPollsInARow && (await rounds.once()); polled++)
        polls.answered += 1;
      polls.answered += 1;
      if (failures > 0) log.info(`fleet: ${url} answers again, after ${failures} failures`);
      failures = 0;
      problem = null;
      contactMs = clock.now();
      const { order, sleep_ms } = remembered.current();
      nextMs = clock.elapsed() + nextPollMs(sleep_ms ?? undefined, order !== null, random());
    } catch (thrown) {
      if (!stopping.signal.aborted) failed(thrown);
    }
  }

  function failed(thrown: unknown): void {
    polls.failed += 1;
    failures += 1;
    problem = errorText(thrown);
    const text = `fleet: ${url}: ${problem}`;
    if (!(thrown instanceof ServerFault)) log.error(`fleet: ${errorStack(thrown)}`);
    else if (failures === 1) log.warn(text);
    else log.debug(text);
    const retryAfterMs = thrown instanceof ServerFault ? thrown.retryAfterMs : undefined;
    const { sleep_ms } = remembered.current();
    nextMs = clock.elapsed() + afterFailureMs(failures, sleep_ms ?? undefined, retryAfterMs, random());
  }

  return {
    listener,
    authorizationFor: async (asked) =>
      asked.origin === context.url.origin ? authorizationOf(host, options) : undefined,
    begin: () => {
      running = run().catch((thrown: unknown) => {
        log.error(`fleet: ${errorStack(thrown)}`);
      });
    },
    stop: async () => {
      stopping.abort(new Error('the updater is shutting down'));
      await running;
    },
    poll: () => rouse(true),
    answer: async (isYes) => {
      if (rounds.consent.answer(isYes)) return rouse(true);
      const { order } = remembered.current();
      if (order === null || rounds.waitsFor() !== 'consent') return nothingAsked();
      const { version, allow_downgrade = false } = order.request;
      if (isYes) await updater().update({ version, allow_downgrade }, nameOf(order.id, tag));
      else await updater().cancel(nameOf(order.id, tag));
    },
    state: (): FleetState =>
      stateOf(context, {
        contactMs,
        failures,
        problem,
        nextPollMs: running === undefined ? null : Math.max(0, nextMs - clock.elapsed()),
        question: rounds.consent.question(),
        waitsFor: rounds.waitsFor(),
        polls,
      }),
  };
}
