/** What the network tests share: a host of real parts with shortened waits, a temp directory, one download. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DownloadHost } from '../../src/download/download.ts';
import { type ObtainOptions, obtainPackage } from '../../src/download/obtain.ts';
import type { PackageRequest } from '../../src/download/request.ts';
import type { ResumeInfo } from '../../src/download/resume.ts';
import { UpdateError } from '../../src/errors.ts';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Clock } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { type NetOptions, realNet } from '../../src/host/net.ts';

export type Sleeps = number[];

/** The real clock whose sleeps end at once; what was asked for is put down in `sleeps`. */
export function quickClock(sleeps: Sleeps = []): Clock {
  const clock = realClock();
  return {
    ...clock,
    sleep: (ms, signal) => {
      sleeps.push(ms);
      return clock.sleep(0, signal);
    },
  };
}

export interface LoggingHost extends DownloadHost {
  readonly lines: string[];
}

export function testHost(parts: Partial<DownloadHost> = {}, net: Partial<NetOptions> = {}): LoggingHost {
  const lines: string[] = [];
  const line = (text: string) => void lines.push(text);
  return {
    files: realFiles(),
    memory: freeMemory,
    clock: quickClock(),
    net: realNet({ environment: {}, ...net }),
    log: { debug: line, info: line, warn: line, error: line },
    lines,
    ...parts,
  };
}

export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'tope-network-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function someBytes(sizeBytes: number): Uint8Array {
  return randomBytes(sizeBytes);
}

export function requestFor(
  url: string,
  bytes: Uint8Array,
  extra: Partial<PackageRequest> = {},
): PackageRequest {
  return {
    version: '1.2.3',
    package_url: url,
    package_name: 'package.zip',
    package_size: bytes.length,
    package_md5: createHash('md5').update(bytes).digest('hex'),
    ...extra,
  };
}

/** What came of one run: the file, or the error, and what was saved for the next run. */
export interface Outcome {
  readonly file: Uint8Array | undefined;
  readonly error: UpdateError | undefined;
  readonly saved: readonly ResumeInfo[];
  readonly progress: readonly number[];
  readonly events: readonly string[];
}

export type RunOptions = Partial<
  Pick<
    ObtainOptions,
    | 'resume'
    | 'signal'
    | 'allowHttp'
    | 'authorizationFor'
    | 'deadlineMs'
    | 'bytesPerSecond'
    | 'stallTimeoutMs'
    | 'stuckTimeoutMs'
    | 'candidates'
    | 'onReceived'
    | 'onReused'
    | 'onRequest'
    | 'onProgress'
    | 'waitForNetworkMs'
    | 'onWaiting'
    | 'saveResume'
  >
>;

/** Runs obtainPackage; anything thrown that is no UpdateError is a bug and is passed on. */
export async function obtain(
  host: DownloadHost,
  directory: string,
  request: PackageRequest,
  options: RunOptions = {},
): Promise<Outcome> {
  const saved: ResumeInfo[] = [];
  const progress: number[] = [];
  const events: string[] = [];
  const whole: ObtainOptions = {
    resume: undefined,
    signal: new AbortController().signal,
    allowHttp: false,
    stallTimeoutMs: 2_000,
    stuckTimeoutMs: 60_000,
    ...options,
    directory,
    onProgress: (bytes) => {
      progress.push(bytes);
      options.onProgress?.(bytes);
    },
    saveResume: async (info) => {
      saved.push(info);
      await options.saveResume?.(info);
    },
    onVerifying: async () => {
      events.push('verifying');
    },
    onDownloadingAgain: async () => {
      events.push('again');
    },
  };
  const rest = { saved, progress, events };
  try {
    const verified = await obtainPackage(host, request, whole);
    return { file: readFileSync(verified.path), error: undefined, ...rest };
  } catch (thrown) {
    if (!(thrown instanceof UpdateError)) throw thrown;
    return { file: undefined, error: thrown, ...rest };
  }
}

/** Says in the test's output what this machine could not run, and why. */
export function skipped(what: string, why: string): void {
  console.log(`skipped: ${what}: ${why}`);
}
