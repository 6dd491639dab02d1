/**
 * The way to the updater: GET /events, or GET /progress where that is not to be had (EventSource cannot carry `token`). A page
 * that hears nothing says so.
 */
import type { Reply, State } from './wire.ts';

export interface Link {
  /** `done`: null: no answer. */
  ask(method: 'GET' | 'POST', path: string, body: object | null, done: (reply: Reply | null) => void): void;
  /** Nothing has been heard lately. */
  isLost(): boolean;
  start(): void;
}

export interface Ears {
  heard(state: State): void;
  lost(): void;
}

export function openLink(token: string | undefined, ears: Ears): Link {
  let source: EventSource | null = null;
  let heardAt = Date.now();
  let triedAt = 0;
  let isAsking = false;
  const canListen = 'EventSource' in window && !token;

  function ask(
    method: 'GET' | 'POST',
    path: string,
    body: object | null,
    done: (reply: Reply | null) => void,
  ): void {
    const request = new XMLHttpRequest();
    request.open(method, `api/v1.0/${path}`);
    request.timeout = 4_000;
    if (token) request.setRequestHeader('Authorization', `Bearer ${token}`);
    if (body) request.setRequestHeader('Content-Type', 'application/json');
    request.onloadend = () => {
      let reply: Reply | null = null;
      try {
        reply = JSON.parse(request.responseText);
      } catch (_) {
        reply = null;
      }
      done(reply);
    };
    request.send(body && JSON.stringify(body));
  }

  function hear(state: State): void {
    heardAt = Date.now();
    ears.heard(state);
  }

  function listen(): void {
    triedAt = Date.now();
    const opened = new EventSource('api/v1.0/events');
    source = opened;
    opened.addEventListener('progress', (event) => hear(JSON.parse((event as MessageEvent).data)));
    opened.onerror = () => {
      opened.close();
      source = null;
      poll();
    };
  }

  function poll(): void {
    if (isAsking) return;
    isAsking = true;
    ask('GET', 'progress', null, (reply) => {
      isAsking = false;
      if (reply?.data) {
        hear(reply.data as State);
        if (canListen && !source && Date.now() - triedAt > againMs) listen();
        return;
      }
      if (source) source.close();
      source = null;
      heardAt = 0;
      triedAt = 0;
      ears.lost();
    });
  }

  return {
    ask,
    isLost: () => heardAt === 0,
    start() {
      if (canListen) listen();
      else poll();
      setInterval(() => {
        if (!source || Date.now() - heardAt > silenceMs) poll();
      }, 1_000);
    },
  };
}

/** A state that is not heard of for so long is asked for. */
const silenceMs = 20_000;
/** A stream that broke off is tried again no sooner. */
const againMs = 5_000;
