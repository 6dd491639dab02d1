/** What GET /progress answers, kept in memory, and told to the listeners on every change. */
import type { ResumeInfo } from '../download/resume.ts';
import { type Traffic, type TrafficMeter, trafficText } from '../download/traffic.ts';
import type { UpdateError } from '../errors.ts';
import type { OperationKind } from '../history.ts';
import type { Counted } from '../operations/transaction-context.ts';
import type { Operation } from './event.ts';
import type { Progress, ProgressFacts, ProgressListener, Stage } from './state.ts';

export interface ProgressKeeper {
  current(): Progress;
  /** A new stage (or a new error in it). Resolves when every listener that keeps it durably has done so. */
  enter(
    stage: Stage,
    error: UpdateError | null,
    operation?: Operation | null,
    downloaded?: ResumeInfo,
  ): Promise<void>;
  /** What is done is from now on done for this: another order of the fleet, say. Nobody is told. */
  about(operation: Operation): void;
  /** Within a stage; never goes down. `percent` is cut to whole numbers. */
  advance(percent: number, message?: string, counted?: Counted): void;
  /** A download that starts over: the one case where the figure goes back. */
  restart(): void;
  /** A download begins, or goes on: counts what it takes. `before`: what earlier runs took. */
  downloads(before: Traffic | undefined): TrafficMeter;
  /** A try failed and is followed by another. */
  retried(): void;
  /** Nobody answers, and what is waited for; undefined: no longer. */
  waiting(what: string | undefined): void;
}

const messages: Record<Stage, string> = {
  idle: 'nothing to do',
  downloading: 'downloading the package',
  verifying: 'verifying the package',
  toInstall: 'the package is verified and waits to be installed',
  installing: 'installing',
  rebooting: 'rebooting',
  success: 'the update was installed',
  failed: 'the update failed',
};

const otherMessages: Partial<Record<OperationKind, Partial<Record<Stage, string>>>> = {
  rollback: {
    installing: 'rolling back',
    success: 'the rollback was done',
    failed: 'the rollback failed',
  },
  repair: {
    installing: 'comparing what is deployed',
    success: 'the repair was done',
    failed: 'the repair failed',
  },
};

/** 100 where the stage says that something is complete. */
const initialPercent: Partial<Record<Stage, number>> = { toInstall: 100, success: 100 };

export function createProgress(listeners: readonly ProgressListener[]): ProgressKeeper {
  let progress: Progress = { stage: 'idle', progress: 0, message: messages.idle, error: null };
  let subject: Pick<ProgressFacts, 'kind' | 'version' | 'action'> = {
    kind: null,
    version: null,
    action: null,
  };
  let counted: Counted = notCounted;
  let download: Traffic | null = null;
  let receivedBytes = 0;
  let reusedBytes = 0;
  let requests = 0;
  let retries = 0;
  let waits = 0;

  const current = (): Progress => {
    const { bytes, totalBytes, module = null } = counted;
    const sinceStart = { receivedBytes, reusedBytes, requests, retries, waits };
    return { ...progress, facts: { ...subject, module, bytes, totalBytes, download, ...sinceStart } };
  };
  const tell = async (urgent: boolean, error: UpdateError | null) => {
    const told = current();
    await Promise.all(listeners.map((listener) => listener(told, urgent, error)));
  };

  return {
    current,
    enter: (stage, error, operation, downloaded) => {
      const percent = stage === 'failed' ? progress.progress : (initialPercent[stage] ?? 0);
      const saved = stage === 'toInstall' ? trafficText(downloaded?.traffic, downloaded?.total) : undefined;
      const message = saved ?? otherMessages[operation?.kind ?? 'update']?.[stage] ?? messages[stage];
      const before = progress.stage;
      progress = { stage, progress: percent, message, error: error?.message ?? null };
      // What has ended is still spoken of.
      if (operation) {
        subject = subjectOf(operation);
        const begins = operation.kind !== 'update' || (stage === 'downloading' && before !== 'verifying');
        download = begins ? null : (download ?? downloaded?.traffic ?? null);
      }
      counted = notCounted;
      return tell(true, error);
    },
    about: (operation) => {
      subject = subjectOf(operation);
    },
    advance: (percent, message, nowCounted = notCounted) => {
      counted = nowCounted;
      const whole = Math.max(progress.progress, Math.min(100, Math.floor(percent)));
      const words = message ?? progress.message;
      if (whole === progress.progress && words === progress.message) return;
      progress = { ...progress, progress: whole, message: words };
      void tell(false, null);
    },
    restart: () => {
      progress = { ...progress, progress: 0 };
    },
    downloads: (earlier) => {
      let traffic = earlier ?? { bytes_fetched: 0, bytes_reused: 0, requests: 0 };
      const add = (fetched: number, reused: number, asked: number) => {
        receivedBytes += fetched;
        reusedBytes += reused;
        requests += asked;
        traffic = {
          bytes_fetched: traffic.bytes_fetched + fetched,
          bytes_reused: traffic.bytes_reused + reused,
          requests: traffic.requests + asked,
        };
        download = traffic;
      };
      add(0, 0, 0);
      return {
        received: (bytes) => add(bytes, 0, 0),
        reused: (bytes) => add(0, bytes, 0),
        requested: () => add(0, 0, 1),
        traffic: () => traffic,
      };
    },
    retried: () => {
      retries += 1;
    },
    waiting: (what) => {
      if (what !== undefined) waits += 1;
      const message = what === undefined ? messages[progress.stage] : `waiting for the network: ${what}`;
      if (message === progress.message) return;
      progress = { ...progress, message };
      void tell(false, null);
    },
  };
}

const notCounted: Counted = { bytes: 0, totalBytes: 0 };

function subjectOf(operation: Operation): Pick<ProgressFacts, 'kind' | 'version' | 'action'> {
  const action = operation.kind === 'update' ? operation.action : null;
  return { kind: operation.kind, version: versionOf(operation), action };
}

function versionOf(operation: Operation): string | null {
  switch (operation.kind) {
    case 'update':
      return operation.request.version;
    case 'rollback':
      return operation.version;
    case 'repair':
      return null;
    default:
      return operation satisfies never;
  }
}

/** Hands pages back: what a tenth of the work touched is mostly not needed for the next. At each percent it was a tenth slower, and no smaller. */
export function atEachTenth(act: () => void): ProgressListener {
  let last = -1;
  return ({ progress }) => {
    const tenth = Math.floor(progress / 10);
    if (tenth === last) return;
    last = tenth;
    act();
  };
}
