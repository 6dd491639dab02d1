/**
 * GET /events: tells browsers and scripts what happens, as server-sent events (HTML standard, section 9.2).
 *
 *     retry: 2000
 *
 *     event: progress
 *     data: {"stage":"downloading","progress":41,...}
 *
 *     : heartbeat
 *
 * Invariants: the updater never waits for a watcher; the current state is the first event of every stream, so none has
 * to be resumed; there are at most `limits.eventStreams` of them, and one that reads slower than it is told is dropped.
 * Nothing runs while nobody watches.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Progress, ProgressListener } from '../updater/state.ts';
import { documents } from './contract.ts';
import { HttpError } from './http-error.ts';
import { rateMeter } from './rate.ts';

export interface Events {
  /** To be told of every change. */
  readonly listener: ProgressListener;
  /** Answers with the stream. Resolves when it has ended; throws HttpError 503 when there are too many. */
  serve(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Streams that are open. */
  watchers(): number;
  /** Ends every stream, and takes no more. */
  close(): void;
}

/** `current`: the state as it is now, from memory. */
export function createEvents(clock: Pick<Clock, 'elapsed' | 'after'>, current: () => Progress): Events {
  const streams = new Set<ServerResponse>();
  const rate = rateMeter();
  let told: Event | undefined;
  let toldAtMs = 0;
  let stopTicking: (() => void) | undefined;
  let isClosed = false;

  return {
    listener: (_, urgent) => {
      if (streams.size > 0 && (urgent || current().message !== told?.message)) tell();
    },
    async serve(request, response) {
      if (isClosed || streams.size >= limits.eventStreams)
        throw new HttpError(503, `${limits.eventStreams} streams of events are open`, {
          'Retry-After': '10',
        });
      response.writeHead(200, streamHeaders);
      if (request.method === 'HEAD') return void response.end();
      const ended = new Promise<void>((resolve) => response.once('close', resolve));
      // A watcher that is gone has shut down its side; who only asks is answered all the same (server.ts).
      const gone = () => response.destroy();
      request.socket.once('end', gone);
      if (streams.size === 0) start();
      streams.add(response);
      response.write(`retry: ${limits.eventRetryMs}\n\n${block(eventOf(current(), rate.perSecond()))}`);
      await ended;
      request.socket.off('end', gone);
      streams.delete(response);
      if (streams.size === 0) stop();
    },
    watchers: () => streams.size,
    close() {
      isClosed = true;
      for (const response of streams) response.end();
      stop();
    },
  };

  function start(): void {
    told = undefined;
    rate.reset();
    toldAtMs = clock.elapsed();
    tick();
  }

  function stop(): void {
    stopTicking?.();
    stopTicking = undefined;
  }

  function tick(): void {
    const progress = current();
    const { bytes = 0, totalBytes = 0 } = progress.facts ?? {};
    if (totalBytes === 0) rate.reset();
    else rate.look(bytes, clock.elapsed());
    if (isNews(progress)) tell();
    else if (clock.elapsed() - toldAtMs >= limits.eventHeartbeatMs) send(': heartbeat\n\n');
    stopTicking = clock.after(limits.eventTickMs, tick);
  }

  function isNews(progress: Progress): boolean {
    return JSON.stringify(eventOf(progress, rate.perSecond())) !== JSON.stringify(told);
  }

  function tell(): void {
    told = eventOf(current(), rate.perSecond());
    send(block(told));
  }

  function send(text: string): void {
    toldAtMs = clock.elapsed();
    for (const response of streams) {
      if (response.writableLength > limits.eventBacklogBytes) response.destroy();
      else response.write(text);
    }
  }
}

const streamHeaders = {
  'Content-Type': documents.events.contentType,
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  // A proxy must not wait for more before it passes an event on.
  'X-Accel-Buffering': 'no',
};

/** What one event tells; EventSchema of contract.ts. */
type Event = ReturnType<typeof eventOf>;

function eventOf({ stage, progress, message, error, facts }: Progress, bytesPerSecond: number | null) {
  const {
    kind = null,
    version = null,
    module = null,
    bytes = 0,
    totalBytes = 0,
    download = null,
  } = facts ?? {};
  return {
    stage,
    progress,
    message,
    error,
    kind,
    version,
    module,
    bytes,
    total_bytes: totalBytes,
    bytes_per_second: totalBytes > 0 ? bytesPerSecond : null,
    download,
  };
}

function block(event: Event): string {
  return `event: progress\ndata: ${JSON.stringify(event)}\n\n`;
}
