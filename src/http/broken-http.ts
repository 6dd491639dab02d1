/**
 * Answers what Node's parser refuses, and what must not be read on: the reply is written by hand, as there may be no
 * request object, and the connection is closed. Who sends so much of it that `limits.brokenShare` of the event loop is
 * used up is answered late: one that waits for each answer is slow then, and costs next to nothing.
 */
import type { Socket } from 'node:net';
import { errno } from '../errors.ts';
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';
import { openBudget } from './budget.ts';
import type { Connections } from './connections.ts';
import { HttpError } from './http-error.ts';
import { rawReply } from './reply.ts';

export type RefuseBroken = (error: Error, socket: Socket) => void;

/** `costMs`: what one takes of the event loop, about as much as a good one. */
export function brokenHttpRefusal(
  clock: Pick<Clock, 'elapsed' | 'after'>,
  connections: Connections,
  costMs: () => number,
): RefuseBroken {
  const budget = openBudget(clock, limits.brokenShare, limits.brokenSavedMs);
  return (error, socket) => {
    // A reply here would be taken for the one that is still owed.
    if (connections.isOwed(socket)) {
      socket.pause();
      connections.endWhenAnswered(socket);
    } else if (!socket.writable || errno(error) === 'ECONNRESET') socket.destroy();
    else if (budget.pay(costMs())) refuse(error, socket);
    else {
      socket.pause();
      clock.after(limits.brokenDelayMs, () => refuse(error, socket));
    }
  };
}

function refuse(error: Error, socket: Socket): void {
  if (!socket.writable) return void socket.destroy();
  const refusal = error instanceof HttpError ? error : brokenHttp(errno(error));
  socket.end(rawReply(refusal), () => socket.destroy());
}

function brokenHttp(code: string | undefined): HttpError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HttpError(408, 'the request took too long to arrive');
  if (code === 'HPE_HEADER_OVERFLOW')
    return new HttpError(431, `the headers may hold ${limits.requestHeaderBytes} bytes`);
  return new HttpError(400, `not HTTP (${code ?? 'unknown'})`);
}
