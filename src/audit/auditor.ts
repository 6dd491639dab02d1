/**
 * Audits as the daemon runs them: one that was asked for at full speed, one now and then by itself, slowly; and the last report,
 * in `logs/audit.json`, not synced, as the next audit finds the same. An audit is given up when work begins that changes files
 * (cancel), and leaves the last report then.
 */
import { posix } from 'node:path';
import * as v from 'valibot';
import { errorStack, errorText, UpdateError } from '../errors.ts';
import { readWhole, writeWhole } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { pacer } from '../host/pace.ts';
import { limits } from '../limits.ts';
import { audit, reportOf, unknownReport } from './audit.ts';
import { type AuditReport, AuditReportSchema, type AuditState } from './audit-report.ts';

export interface AuditorOptions {
  readonly workDirectory: string;
  /** Undefined: none but those asked for. */
  readonly intervalMs: number | undefined;
  /** Whether one may begin by itself now. */
  readonly mayBegin: () => boolean;
}

export interface Auditor {
  state(): AuditState;
  /** Begins an audit at full speed, unless such a one runs. Resolves when it has begun. */
  begin(): Promise<void>;
  /** Gives up what runs. Resolves when nothing is read any more. */
  cancel(): Promise<void>;
  /** A repair has looked too: this is what is known now. Never rejects. */
  publish(report: AuditReport): Promise<void>;
  /** Reads the last report and sets the timer. Call once. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Resolves when none runs. */
  settled(): Promise<void>;
}

interface Running {
  readonly stop: AbortController;
  readonly done: Promise<void>;
  /** Begun by itself. */
  readonly isPaced: boolean;
}

export function createAuditor(host: Host, options: AuditorOptions): Auditor {
  const { clock, log, files } = host;
  const path = posix.join(options.workDirectory, 'logs', 'audit.json');
  const backups = posix.join(options.workDirectory, 'backups');
  let report: AuditReport | null = null;
  let running: Running | undefined;
  let compared = 0;
  let disarm: () => void = () => undefined;
  let isClosed = false;

  const publish = async (next: AuditReport): Promise<void> => {
    report = next;
    tell(log, next);
    try {
      await writeWhole(files, path, Buffer.from(`${JSON.stringify(next, undefined, 2)}\n`));
    } catch (thrown) {
      log.warn(`the audit's report is kept in memory only: ${errorText(thrown)}`);
    }
  };

  const run = async (signal: AbortSignal, bytesPerSecond: number | undefined): Promise<void> => {
    const startedMs = clock.now();
    try {
      const pace = pacer(clock, bytesPerSecond, signal);
      const onFile = (count: number) => {
        compared = count;
      };
      const result = await audit(host, backups, { signal, pace, onFile });
      if (!signal.aborted) await publish(reportOf(result, clock.now(), undefined));
    } catch (thrown) {
      if (signal.aborted) log.info('the audit is given up: other work begins');
      else if (thrown instanceof UpdateError) await publish(unknownReport(thrown, startedMs, clock.now()));
      else log.error(`the audit failed: ${errorStack(thrown)}`);
    }
  };

  const begin = (bytesPerSecond: number | undefined): void => {
    if (running !== undefined || isClosed) return;
    compared = 0;
    const stop = new AbortController();
    const done = run(stop.signal, bytesPerSecond).finally(() => {
      running = undefined;
      host.memory.trim();
      arm();
    });
    running = { stop, done, isPaced: bytesPerSecond !== undefined };
  };

  const cancel = async (): Promise<void> => {
    running?.stop.abort(new UpdateError('CANCELLED', 'other work begins'));
    await running?.done;
  };

  /** The next one by itself is due an interval after the last, also where the device was off meanwhile. */
  const arm = (leastMs = 0): void => {
    const { intervalMs } = options;
    disarm();
    if (intervalMs === undefined || isClosed) return;
    const sinceMs = report === null ? 0 : Math.max(0, clock.now() - Date.parse(report.ended_at));
    const dueMs = report === null ? 0 : intervalMs - sinceMs;
    const waitMs = Math.min(
      intervalMs,
      Math.max(dueMs, leastMs, Math.min(intervalMs, limits.auditIntervalLeastMs)),
    );
    disarm = clock.after(waitMs, () => {
      if (options.mayBegin()) begin(limits.auditBytesPerSecond);
      else arm(limits.auditIntervalLeastMs);
    });
  };

  return {
    state: () => ({ running: running !== undefined, files: compared, report }),
    begin: async () => {
      if (running?.isPaced) await cancel();
      begin(undefined);
    },
    cancel,
    publish,
    open: async () => {
      report = await lastReport(host, path);
      arm(limits.auditStartMs);
    },
    close: async () => {
      isClosed = true;
      disarm();
      running?.stop.abort(new UpdateError('CANCELLED', 'the updater is shutting down'));
      await running?.done;
    },
    settled: async () => {
      await running?.done;
    },
  };
}

/** What cannot be read is as good as none: the next audit writes it anew. */
async function lastReport({ files, log }: Host, path: string): Promise<AuditReport | null> {
  try {
    const bytes = await readWhole(files, path, limits.auditReportBytes);
    return bytes === undefined
      ? null
      : v.parse(AuditReportSchema, JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (thrown) {
    log.warn(`the last audit's report cannot be read: ${errorText(thrown)}`);
    return null;
  }
}

function tell(log: Host['log'], report: AuditReport): void {
  if (report.unknown !== null) {
    log.warn(`audit: ${report.unknown}`);
    return;
  }
  for (const { path, text: what, restored, note } of report.findings) {
    const outcome = note === null ? '' : `; ${restored ? 'restored from' : 'not restored:'} ${note}`;
    log.warn(`audit: ${path} ${what}${outcome}`);
  }
  const summary = `audit of ${report.version}: ${report.files} files, ${report.differing} not as deployed, ${report.extra} more below directory modules`;
  if (report.differing > 0) log.warn(summary);
  else log.info(summary);
}
