/** A device for the tests of services: real processes, clock, files and network, programs under names of their own. */
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Host } from '../../src/host/host.ts';
import { realNet } from '../../src/host/net.ts';
import { realProcesses } from '../../src/host/processes.ts';
import { findNamed, type RunningProcess } from '../../src/services/processes.ts';

export const fixtures = new URL('../fixtures', import.meta.url).pathname;

export type DeviceHost = Omit<Host, 'memory'>;

export interface Device {
  readonly host: DeviceHost;
  readonly directory: string;
  /** Every line logged so far. */
  readonly logged: string[];
  /** Puts a fixture there as a program; the default name is found nowhere else on the machine. */
  install(fixture: string, name?: string): string;
  /** Starts a program as the device did before any updater came; resolves once it can be found. */
  run(argv: readonly string[], env?: Record<string, string>, name?: string): Promise<RunningProcess>;
  /** The live processes of a program that was installed, without what they have just forked. */
  running(program: string): Promise<RunningProcess[]>;
}

/**
 * Runs `body` on a device, then ends everything that was started from it. The product's patience is shorter by the
 * factor `speed`: its waits are measured by a clock that much faster.
 */
export async function withDevice(body: (device: Device) => Promise<void>, speed = 1): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tope-services-'));
  const logged: string[] = [];
  const line = (level: string) => (message: string) => void logged.push(`${level} ${message}`);
  const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  const clock = realClock();
  const host: DeviceHost = {
    files: realFiles(),
    clock: { ...clock, elapsed: () => clock.elapsed() * speed },
    processes: realProcesses(),
    net: realNet({ environment: {} }),
    log,
  };
  const names = new Set<string>();
  const device: Device = {
    host,
    directory,
    logged,
    install: (fixture, name = `tp${randomBytes(4).toString('hex')}`) => {
      mkdirSync(join(directory, 'bin'), { recursive: true });
      const program = join(directory, 'bin', name);
      copyFileSync(fixture.startsWith('/') ? fixture : join(fixtures, fixture), program);
      names.add(name);
      return program;
    },
    run: async (argv, env = {}, name = nameOf(argv[0] ?? '')) => {
      names.add(name);
      const fullEnv = { PATH: process.env.PATH ?? '', ...env };
      const { pid } = await host.processes.start({ argv, cwd: directory, env: fullEnv });
      const find = async () => (await findNamed(host, [name])).find((process) => process.pid === pid);
      return await eventually(`${name} runs`, find);
    },
    running: async (program) => {
      const found = await findNamed(host, [nameOf(program)]);
      return found.filter(({ parentPid }) => !found.some(({ pid }) => pid === parentPid));
    },
  };
  try {
    await withinAMinute(body(device), logged);
  } finally {
    // Again until none is left: some of them start others.
    await eventually('all that was started is gone', async () => {
      const left = (await Promise.all([...names].map((name) => findNamed(host, [name])))).flat();
      for (const { pid } of left) host.processes.signal(pid, 'SIGKILL');
      return left.length === 0;
    });
    rmSync(directory, { recursive: true, force: true });
  }
}

async function withinAMinute(work: Promise<void>, logged: readonly string[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((_resolve, reject) => {
    timer = setTimeout(() => {
      const active = process.getActiveResourcesInfo().join(' ');
      reject(new Error(`still busy after 60 s with ${active}; logged:\n${logged.join('\n')}`));
    }, 60_000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls until there is a value that is not false; fails after 5 s. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  for (let tries = 0; tries < 200; tries++) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`not within 5 s: ${what}`);
}

/** What child-service.sh wrote about itself. */
export async function factsIn(path: string): Promise<Record<string, string>> {
  const text = await eventually(`facts in ${path}`, async () => {
    try {
      return readFileSync(path, 'utf8');
    } catch (thrown) {
      if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
      throw thrown;
    }
  });
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** A port nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function nameOf(program: string): string {
  return program.slice(program.lastIndexOf('/') + 1);
}
