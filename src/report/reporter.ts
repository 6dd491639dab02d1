/**
 * Tells device-api what happens (spec section 3, FR-016, FR-020): every stage and error, every 5 % of a download, one at a time,
 * in order; the updater never waits. Progress collapses to the newest, stages never do, up to `limits.reportQueue`, with one try
 * each. A last word (toInstall, success, failed) stays at the head of the queue until any 2xx, as device-api is often what was
 * just replaced; a later stage takes its place, but `idle` waits behind success and failed. An end is on the disk as long;
 * `toInstall` stands in state.json.
 */
import { progressEnvelope } from '../envelope.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Progress, ProgressListener, Stage } from '../updater/state.ts';
import { openOutbox } from './outbox.ts';
import { poster } from './post.ts';

export interface ReporterOptions {
  readonly url: string;
  readonly outboxPath: string;
}

export interface Reporter {
  readonly listener: ProgressListener;
  /** Takes up the end that an earlier run still owed. */
  start(): Promise<void>;
  /** Sends what is quick to send (`limits.reportFlushMs`), then ends; an end not answered stays on the disk. */
  stop(): Promise<void>;
}

interface Report {
  readonly stage: Stage;
  readonly body: string;
  readonly kind: 'change' | 'progress';
  /** Retried until answered. */
  isLastWord: boolean;
  tries: number;
}

export function createReporter(
  host: Pick<Host, 'files' | 'clock' | 'net' | 'log'>,
  options: ReporterOptions,
): Reporter {
  const { clock, log } = host;
  const outbox = openOutbox(host.files, log, options.outboxPath);
  const post = poster(host, options.url);
  let queue: Report[] = [];
  let lastStep = 0;
  let hasHeardChange = false;
  let refused: Report | undefined;
  let isSending = false;
  let pump: Promise<void> = Promise.resolve();
  /** Ends the wait between two tries of a last word. */
  let rest = new AbortController();
  let stopAt: number | undefined;

  const listener: ProgressListener = (progress, urgent) => {
    const kept = urgent ? enqueueChange(progress) : enqueueProgress(progress);
    wake();
    return kept;
  };

  /** Resolves when an end is on the disk. */
  function enqueueChange(progress: Progress): Promise<void> | undefined {
    hasHeardChange = true;
    lastStep = stepOf(progress);
    const report = reportOf(progress, 'change');
    if (supersedes(progress.stage, queue)) release(queue);
    const kept = queue.filter((waiting) => waiting.isLastWord || waiting.tries === 0);
    queue = bounded([...kept, report]);
    return ends.includes(report.stage) ? outbox.keep(report.body) : undefined;
  }

  function enqueueProgress(progress: Progress): undefined {
    if (progress.stage !== 'downloading' || stepOf(progress) <= lastStep) return;
    lastStep = stepOf(progress);
    const newest = queue.at(-1);
    if (newest?.kind === 'progress' && newest.tries === 0) queue.pop();
    queue = bounded([...queue, reportOf(progress, 'progress')]);
  }

  /** The pending last words get no further tries; one that was never tried still gets its turn. */
  function release(reports: readonly Report[]): void {
    for (const report of reports) report.isLastWord = false;
    void outbox.clear();
    rest.abort();
  }

  function wake(): void {
    if (isSending) return;
    isSending = true;
    pump = sendAll();
  }

  async function sendAll(): Promise<void> {
    try {
      for (let report = queue[0]; report !== undefined && mayGoOn(report); report = queue[0])
        await send(report);
    } finally {
      isSending = false;
    }
  }

  /** While stopping, time is short and a last word that was just refused is not sent again. */
  function mayGoOn(report: Report): boolean {
    return stopAt === undefined || (clock.elapsed() < stopAt && report !== refused);
  }

  async function send(report: Report): Promise<void> {
    report.tries += 1;
    const isAnswered = await post(report.body);
    if (isAnswered && report.isLastWord) {
      report.isLastWord = false;
      await outbox.clear();
    }
    refused = report.isLastWord ? report : undefined;
    if (report.isLastWord) await restAfter(report.tries);
    else queue = queue.filter((waiting) => waiting !== report);
  }

  async function restAfter(tries: number): Promise<void> {
    if (stopAt !== undefined) return;
    const ms = limits.reportRetryMs[Math.min(tries, limits.reportRetryMs.length) - 1] ?? 0;
    rest = new AbortController();
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, resolve);
      rest.signal.addEventListener('abort', () => {
        cancel();
        resolve();
      });
    });
  }

  return {
    listener,
    async start() {
      const body = await outbox.read();
      if (body === undefined) return;
      if (queue.some((report) => report.body === body)) return;
      const { stage } = JSON.parse(body) as { stage: Stage };
      // What was heard in the meantime is newer: the old word is said once and not insisted on.
      queue.unshift({ stage, body, kind: 'change', isLastWord: !hasHeardChange, tries: 0 });
      log.info(`device-api has not answered the report of ${stage} yet: it is sent again`);
      wake();
    },
    async stop() {
      stopAt = clock.elapsed() + limits.reportFlushMs;
      rest.abort();
      await pump;
      await outbox.settled();
    },
  };
}

/** What no later start would say by itself. */
const ends: readonly Stage[] = ['success', 'failed'];
const lastWords: readonly Stage[] = ['toInstall', ...ends];

function reportOf(progress: Progress, kind: Report['kind']): Report {
  const { stage, message, error } = progress;
  const flat = { stage, progress: progress.progress, message, error };
  const body = JSON.stringify({ ...progressEnvelope(progress), ...flat });
  return { stage, body, kind, isLastWord: kind === 'change' && lastWords.includes(stage), tries: 0 };
}

function stepOf({ progress }: Progress): number {
  return Math.floor(progress / limits.reportProgressPercent);
}

/** Does a change to `stage` end the retries of what is pending? An end is told before the rest that follows it. */
function supersedes(stage: Stage, queue: readonly Report[]): boolean {
  const pending = queue.filter((report) => report.isLastWord);
  if (pending.length === 0) return false;
  return stage !== 'idle' || pending.every((report) => report.stage === 'toInstall');
}

/** Drops the oldest that is not a last word. */
function bounded(queue: readonly Report[]): Report[] {
  const surplus = queue.length - limits.reportQueue;
  if (surplus <= 0) return [...queue];
  const dropped = queue.filter((report) => !report.isLastWord).slice(0, surplus);
  return queue.filter((report) => !dropped.includes(report));
}
