/**
 * A device in a scratch folder: two running services and a file of data, a package store, a device-api that takes
 * reports, and the updater's executable as a child process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BuiltPackage, buildPackage } from '../fixtures/package-builder.ts';
import type { Runner } from './runner.ts';

export interface Progress {
  readonly stage: string;
  readonly progress: number;
  readonly error: string | null;
}

export interface Device {
  /** What POST /download needs for a package of that version, which the store now has. */
  offer(version: string): Promise<Record<string, unknown>>;
  /** Starts the executable and waits until it answers; gives the ms that took. */
  startUpdater(): Promise<number>;
  killUpdater(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string>;
  post(path: string, body: unknown): Promise<{ code: number; msg: string }>;
  progress(): Promise<Progress>;
  /** Waits until one of the stages is reached. */
  reach(...stages: string[]): Promise<Progress>;
  /** The version in each file of the set, services first. */
  installedVersions(): string[];
  /** Versions of the services that run right now. */
  runningVersions(): string[];
  /** All files below the root that packages write to. */
  files(): string[];
  /** Stages that the device-api heard of, in order, repetitions left out. */
  readonly reported: string[];
  close(): Promise<void>;
}

const serviceNames = ['exe-alpha', 'exe-beta'];

export async function makeDevice(runner: Runner): Promise<Device> {
  const folder = mkdtempSync(join(tmpdir(), `device-${runner.arch}-`));
  const opt = join(folder, 'opt');
  const work = join(folder, 'work');
  const store = join(folder, 'store');
  for (const path of [opt, work, store]) mkdirSync(path);
  const targets = [...serviceNames, 'data'].map((name) => join(opt, name));
  // Their names end in the scratch folder's, so that two runs at a time never meet in /proc.
  const tag = folder.slice(-4);
  const programs = serviceNames.map((name) => join(opt, name, `${name}-${tag}`));
  const dataFile = join(opt, 'data', 'model.bin');
  for (const path of targets) mkdirSync(path);
  for (const program of programs) {
    writeFileSync(program, serviceScript('1.0.0'));
    chmodSync(program, 0o755);
    spawn(program, { cwd: '/', detached: true, stdio: 'ignore', env: { PATH: '/usr/bin:/bin' } }).unref();
  }
  writeFileSync(dataFile, data('1.0.0'));

  const reported: string[] = [];
  const storeServer = await serve((url) => readFileSync(join(store, url.slice(1))));
  const deviceApi = await serve((_url, body) => {
    const { stage } = JSON.parse(body) as { stage: string };
    if (reported.at(-1) !== stage) reported.push(stage);
    return Buffer.from('{}');
  });
  const port = await freePort();
  let updater: ChildProcess | undefined;
  let printed = '';

  const request = async (path: string, init?: RequestInit) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      ...init,
      signal: AbortSignal.timeout(30_000),
    });
    return (await answer.json()) as { code: number; msg: string; data: Progress };
  };

  const device: Device = {
    reported,
    async offer(version) {
      const name = `package-${version}.zip`;
      const built = await buildPackage(packageSpec(version, programs, dataFile), join(store, name));
      return downloadRequest(built, `${storeServer.url}/${name}`, name);
    },
    async startUpdater() {
      const started = performance.now();
      const [program = '', ...args] = runner.argv;
      const flags = [
        '--dir',
        work,
        '--port',
        String(port),
        '--allow-root',
        opt,
        '--report-url',
        deviceApi.url,
      ];
      const child = spawn(program, [...args, 'run', ...flags, '--gui', join(folder, 'no-gui')], {
        cwd: work,
        // Nothing of the test's own settings, coverage above all.
        env: { PATH: process.env.PATH },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          printed += chunk.toString();
        });
      }
      updater = child;
      await until(
        'the updater answers',
        () => printed,
        async () => {
          if (child.exitCode !== null)
            throw new Error(`the updater ended with ${child.exitCode}:\n${printed}`);
          return (await request('/api/v1.0/progress').catch(() => undefined)) !== undefined;
        },
      );
      return performance.now() - started;
    },
    async killUpdater(signal) {
      const child = updater;
      if (child === undefined) throw new Error('no updater runs');
      const ended = new Promise<number | string>((resolve) => {
        child.once('exit', (status, by) => resolve(by ?? status ?? 0));
      });
      child.kill(signal);
      updater = undefined;
      return await ended;
    },
    post: (path, body) =>
      request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    progress: async () => (await request('/api/v1.0/progress')).data,
    async reach(...stages) {
      let last: Progress | undefined;
      await until(
        `stage ${stages.join(' or ')}`,
        () => `${JSON.stringify(last)}\n${printed}`,
        async () => {
          last = await device.progress();
          return stages.includes(last.stage);
        },
      );
      return last as Progress;
    },
    installedVersions: () => [...programs, dataFile].map((path) => versionIn(readFileSync(path))),
    runningVersions: () => runningServices(folder).map(({ version }) => version),
    files: () =>
      readdirSync(opt, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => entry.name)
        .sort(),
    async close() {
      if (updater?.exitCode === null) await device.killUpdater('SIGKILL');
      for (const { pid } of runningServices(folder)) process.kill(pid, 'SIGKILL');
      for (const { server } of [storeServer, deviceApi]) {
        server.closeAllConnections();
        server.close();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return device;
}

/** A service that says its version in its own command line, so that /proc tells which one runs. */
function serviceScript(version: string): string {
  return [
    '#!/bin/sh',
    `# version ${version}`,
    `[ "$1" = ${version} ] || exec "$0" ${version}`,
    "trap 'exit 0' TERM",
    'while :; do sleep 0.1; done',
    '',
  ].join('\n');
}

function data(version: string): Buffer {
  return Buffer.concat([Buffer.from(`# version ${version}\n`), Buffer.alloc(300_000, version)]);
}

function versionIn(content: Buffer): string {
  return /# version (\S+)/.exec(content.toString('latin1', 0, 100))?.[1] ?? 'none';
}

function packageSpec(version: string, programs: readonly string[], dataFile: string) {
  const modules = programs.map((dst, index) => {
    const name = serviceNames[index] ?? '';
    return {
      name,
      src: `modules/${name}`,
      dst,
      process_name: dst.slice(dst.lastIndexOf('/') + 1),
      restart_order: index + 1,
    };
  });
  const services = modules.map(({ src }) => [src, { content: serviceScript(version), mode: 0o755 }] as const);
  return {
    version,
    modules: [...modules, { name: 'model', src: 'modules/model.bin', dst: dataFile }],
    files: { ...Object.fromEntries(services), 'modules/model.bin': data(version) },
  };
}

function downloadRequest(built: BuiltPackage, url: string, name: string): Record<string, unknown> {
  return {
    version: built.version,
    package_url: url,
    package_name: name,
    package_size: built.sizeBytes,
    package_md5: built.md5,
  };
}

/** The services of this device, from /proc: those whose program is in its folder. */
function runningServices(folder: string): { pid: number; version: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [shell = '', program = '', version] = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      const isOurs = shell.endsWith('sh') && program.startsWith(join(folder, 'opt/'));
      return isOurs && version ? [{ pid: Number(name), version }] : [];
    } catch (error) {
      if (error instanceof Error && 'code' in error) return []; // ended meanwhile
      throw error;
    }
  });
}

async function serve(
  answer: (url: string, body: string) => Buffer,
): Promise<{ url: string; server: Server }> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => response.end(answer(request.url ?? '', body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function freePort(): Promise<number> {
  const { server, url } = await serve(() => Buffer.alloc(0));
  await new Promise((resolve) => server.close(resolve));
  return Number(new URL(url).port);
}

/** Polls for a minute; emulated executables are ten times slower than real ones. */
export async function until(
  what: string,
  detail: () => string,
  holds: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (await holds()) return;
    await sleep(20);
  }
  throw new Error(`never came: ${what}\n${detail()}`);
}
