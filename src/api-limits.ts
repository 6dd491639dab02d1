/** The bounds of the API's server and its clients: a part of limits.ts. Sizes in bytes, times in milliseconds, counts. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const apiLimits = {
  /** Spec section 2: a request body larger than this is answered 413. */
  requestBodyBytes: 64 * KiB,
  /** A local service sends a few hundred bytes of headers; more is an attack or a mistake. */
  requestHeaderBytes: 16 * KiB,
  /** A local client that has not finished its headers by then holds a socket for nothing. */
  requestHeadersMs: 5_000,
  requestMs: 15_000,
  keepAliveMs: 10_000,
  connections: 256,
  /** Requests of a connection that came before the answers to those before them. Each waits until the one before has been read. */
  requestsInARow: 16,
  /** Memory of one, and of one that has not sent anything yet (x64). */
  connectionBytes: 8 * KiB,
  newcomerBytes: 1.5 * KiB,
  /** So much of it may have come and gone before garbage is collected. */
  connectionsGarbageBytes: 1.5 * MiB,
  /** Connections that have not sent a request yet. */
  newcomers: 2048,
  /** What all may have sent before they are let in: as much as two hundred usual requests. */
  newcomersBytes: 64 * KiB,
  /** Of each connection in the kernel, where node:ffi can say so: a usual request several times. */
  receivedBytes: 8 * KiB,
  /** Their part of the event loop's time: about 250 connections a second on x64. */
  newcomersShare: 0.1,
  /** What is kept of that part while it is not used: as many as `connections` may come together. */
  newcomersSavedMs: 100,
  /** The part of those whose request is no HTTP, and what is kept of it: the answers to more of them come late. */
  brokenShare: 0.02,
  brokenSavedMs: 20,
  /** A client that neither sends nor reads for this long is gone. */
  connectionIdleMs: 30_000,
  /** The API's part of the event loop's time, so that an update has the rest: about 1500 answers a second on x64. */
  apiShare: 0.2,
  /** What is kept of that part while it is not used: clients that ask now and then never wait. */
  apiSavedMs: 50,
  /** More connections than this that all ask without pause are no screens: their part shrinks as they grow more. */
  apiCrowd: 100,
  /** Those who asked for more are looked at this often, or sooner. */
  apiTickMs: 10,
  /** Watchers of GET /events: a screen, a technician's browser, a script; each holds a connection for long. */
  eventStreams: 16,
  /** How often a watcher hears of bytes; what changes the stage or the words is told at once. */
  eventTickMs: 500,
  /** Shorter than connectionIdleMs, so that a stream with nothing to tell stays open. */
  eventHeartbeatMs: 15_000,
  /** When a browser comes back after a stream has ended. */
  eventRetryMs: 2_000,
  /** A watcher that leaves this much unread is dropped: about 200 events. */
  eventBacklogBytes: 64 * KiB,
  /** A transfer's speed is that of the last so many ticks: calm enough to read, quick enough to show a stall. */
  rateTicks: 8,
  /** How long a new executable waits for the port of the one before: shorter than the launcher's watch over a start. */
  portWaitMs: 120_000,
  portTryMs: 500,
  /** How long the last answers may take when the server closes. */
  serverCloseMs: 1_000,
} as const;
