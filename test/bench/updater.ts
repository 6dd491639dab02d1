/** The updater under measurement: the packed executable as a child process, driven as device-api drives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { type DeviceApi, openDeviceApi } from './device-api.ts';
import { cpuSecondsOf } from './machine.ts';
import type { BenchPackage } from './packages.ts';
import { freePort } from './ports.ts';
import { waitUntil, within } from './wait.ts';

export interface UpdaterOptions {
  /** Empty and made anew, unless it `goesOn`: the work directory, and beside it the targets. */
  readonly folder: string;
  /** With what an updater before has left. */
  readonly goesOn?: true;
  readonly env?: Readonly<Record<string, string>>;
  readonly executable: string;
  readonly flags?: readonly string[];
  /** A file of a cgroup that the process writes its own id to before it becomes the updater. */
  readonly cgroupProcs?: string;
}

export interface Updater {
  readonly pid: number;
  /** From the start of the process to its first answer. */
  readonly startMs: number;
  readonly deviceApi: DeviceApi;
  readonly logPath: string;
  /** Where packages made for this folder go to. */
  readonly progressUrl: string;
  /** A whole update, over files of other content unless those there are to stay `as they are`. Rejects when it fails. */
  update(made: BenchPackage, url: string, withinMs?: number, targets?: 'as they are'): Promise<UpdateTimes>;
  /** Takes the last update back; ms from the request to the report of success. */
  rollBack(withinMs: number): Promise<number>;
  /** Compares all that is deployed; ms from the request to the report. Rejects when anything differs. */
  audit(withinMs: number): Promise<number>;
  /** The folder goes, unless it is to be `kept`. */
  stop(folder?: 'kept'): Promise<void>;
}

interface AuditAnswer {
  readonly running: boolean;
  readonly report: { readonly differing: number; readonly extra: number } | null;
}

export interface UpdateTimes {
  /** From the request to the report that says the package is verified. */
  readonly downloadMs: number;
  /** From the first request to the report of success: download, verification, install. */
  readonly totalMs: number;
  readonly cpuSeconds: number;
}

/** Where packages for an updater in `folder` must put their files. */
export function targetsOf(folder: string): string {
  return join(folder, 'opt');
}

export async function startUpdater(options: UpdaterOptions): Promise<Updater> {
  const { folder } = options;
  const work = join(folder, 'work');
  if (options.goesOn !== true) rmSync(folder, { recursive: true, force: true });
  for (const path of [work, targetsOf(folder)]) mkdirSync(path, { recursive: true });
  const deviceApi = await openDeviceApi();
  const port = await freePort();
  const apiUrl = `http://127.0.0.1:${port}/api/v1.0`;
  const progressUrl = `${apiUrl}/progress`;
  const output = openSync(join(folder, 'output'), 'w');
  const startedAt = performance.now();
  const child = spawn(...commandLine(options, work, port, deviceApi.url), {
    cwd: work,
    env: { PATH: process.env.PATH, ...options.env },
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.executable} cannot be run`);
  const said = () => readFileSync(join(folder, 'output'), 'utf8').slice(-2_000);
  try {
    await waitUntil('the updater answers', 10_000, () => answers(progressUrl, child, said), 1);
  } catch (thrown) {
    child.kill('SIGKILL');
    await deviceApi.close();
    throw thrown;
  }
  const startMs = performance.now() - startedAt;

  const ended = new Promise<never>((_, reject) => {
    child.once('exit', (status, signal) =>
      reject(new Error(`the updater ended: ${signal ?? status}\n${said()}`)),
    );
  });
  ended.catch(() => undefined); // heard by whoever waits for something then
  const whileAlive = <T>(promise: Promise<T>) => Promise.race([promise, ended]);
  return {
    pid,
    startMs,
    deviceApi,
    logPath: join(work, 'logs/updater.log'),
    progressUrl,
    async update(made, url, withinMs = 120_000, targets) {
      for (const { name } of targets === undefined ? made.files : [])
        writeFileSync(join(targetsOf(folder), name), 'what was there before\n');
      const cpuBefore = cpuSecondsOf(pid);
      const begun = performance.now();
      const verified = deviceApi.reached('toInstall', withinMs);
      verified.catch(() => undefined); // also awaited below, after the request's own failure
      await post(`${apiUrl}/download`, {
        version: made.version,
        package_url: url,
        package_name: made.name,
        package_size: made.sizeBytes,
        package_md5: made.md5,
      });
      await whileAlive(verified);
      const downloadMs = performance.now() - begun;
      const installed = deviceApi.reached('success', withinMs);
      installed.catch(() => undefined);
      await post(`${apiUrl}/update`, { version: made.version });
      await whileAlive(installed);
      const totalMs = performance.now() - begun;
      return { downloadMs, totalMs, cpuSeconds: cpuSecondsOf(pid) - cpuBefore };
    },
    async rollBack(withinMs) {
      const begun = performance.now();
      const taken = deviceApi.reached('success', withinMs);
      taken.catch(() => undefined);
      await post(`${apiUrl}/rollback`, {});
      await whileAlive(taken);
      return performance.now() - begun;
    },
    async audit(withinMs) {
      const begun = performance.now();
      await post(`${apiUrl}/audit`, {});
      await whileAlive(
        waitUntil('the audit ends', withinMs, async () => {
          const answer = await fetch(`${apiUrl}/audit`);
          const { data } = (await answer.json()) as { data: AuditAnswer };
          if (data.running || data.report === null) return false;
          if (data.report.differing + data.report.extra > 0) throw new Error(JSON.stringify(data.report));
          return true;
        }),
      );
      return performance.now() - begun;
    },
    async stop(kept) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await within('the updater ends', 10_000, gone);
      }
      await deviceApi.close();
      if (kept === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

function commandLine(
  { executable, flags = [], cgroupProcs, folder }: UpdaterOptions,
  work: string,
  port: number,
  reportUrl: string,
): [string, string[]] {
  const places = ['--dir', work, '--allow-root', targetsOf(folder), '--gui', join(folder, 'no-gui')];
  const all = ['run', '--port', String(port), '--report-url', reportUrl, ...places, ...flags];
  if (cgroupProcs === undefined) return [executable, all];
  return ['sh', ['-c', `echo $$ > ${cgroupProcs} && exec "$0" "$@"`, executable, ...all]];
}

async function answers(url: string, child: ChildProcess, said: () => string): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`the updater ended with ${child.exitCode}:\n${said()}`);
  return new Promise((resolve) => {
    httpRequest(url, (response) => {
      response.resume();
      response.on('end', () => resolve(true));
    })
      .on('error', () => resolve(false))
      .end();
  });
}

async function post(url: string, body: unknown): Promise<void> {
  const ask = () =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
  // In a flood of connections one may be closed before it is read; clients try again then.
  const answer = await ask().catch(ask);
  const { code, msg } = (await answer.json()) as { code: number; msg: string };
  if (code !== 200) throw new Error(`${url}: ${msg}`);
}
