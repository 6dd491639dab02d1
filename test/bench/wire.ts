/**
 * (h) 100 MB over a wire of 10 Mbit/s, to restarted services: how long beyond the time that the wire itself takes. All
 * rounds run side by side, each with a wire of its own, begun some seconds apart so that no two install at once.
 */
import { spawn } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, type Row, spread } from './figures.ts';
import { serviceScript, wirePackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf } from './updater.ts';

const bitsPerSecond = 10_000_000;
const apartMs = 6_000;

export async function measureWire(bench: Bench): Promise<Row[]> {
  const rounds = Array.from({ length: bench.rounds }, (_, round) => round);
  const made = [];
  for (const round of rounds) made.push(await prepare(bench, round));
  const over = await Promise.all(
    made.map(async (prepared, round) => {
      await sleep(round * apartMs);
      return oneRound(bench, prepared);
    }),
  );
  const wireS = (((made[0]?.sizeBytes ?? 0) * 8) / bitsPerSecond).toFixed(1);
  const what = '100 MB at 10 Mbit/s to restarted services, beyond the wire';
  const note = `${spread(over, 2)}; the wire itself ${wireS} s`;
  return [{ id: 'h', what, value: median(over), unit: 's', target: 3, note }];
}

async function prepare(bench: Bench, round: number) {
  const folder = join(bench.scratch, `wire-${round}`);
  const service = `bench-svc-${round}`;
  const zip = await wirePackage(bench.www, targetsOf(folder), service);
  return { ...zip, folder, service };
}

/** Seconds beyond the wire's. */
async function oneRound(bench: Bench, made: Awaited<ReturnType<typeof prepare>>): Promise<number> {
  const wire = await openWire(made.path);
  const updater = await startUpdater({ folder: made.folder, executable: bench.executable });
  const program = join(targetsOf(made.folder), made.service);
  writeFileSync(program, serviceScript('1.0.0'));
  chmodSync(program, 0o755);
  spawn(program, { cwd: '/', detached: true, stdio: 'ignore' }).unref();
  try {
    const { totalMs } = await updater.update(made, wire.url, 300_000);
    return (totalMs - (made.sizeBytes * 8 * 1000) / bitsPerSecond) / 1000;
  } finally {
    for (const pid of processesOf(program)) process.kill(pid, 'SIGKILL');
    await updater.stop();
    await wire.close();
  }
}

/** The shells that run this very script. */
function processesOf(program: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(program);
    } catch (thrown) {
      if (thrown instanceof Error && 'code' in thrown) return false; // ended meanwhile
      throw thrown;
    }
  });
}

/** Serves one file, each byte when a wire of `bitsPerSecond` would have delivered it. */
async function openWire(path: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((_request, response) => {
    send(path, response).catch((thrown: unknown) => response.destroy(thrown as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/package.zip`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function send(path: string, response: ServerResponse): Promise<void> {
  const { size } = statSync(path);
  const file = await open(path, 'r');
  try {
    response.setHeader('content-length', size);
    const begun = performance.now();
    for (let sent = 0; sent < size; ) {
      const due = Math.min(size, Math.floor(((performance.now() - begun) * bitsPerSecond) / 8_000));
      if (due > sent) {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(due - sent), 0, due - sent, sent);
        response.write(buffer.subarray(0, bytesRead));
        sent += bytesRead;
      }
      await sleep(10);
    }
    response.end();
  } finally {
    await file.close();
  }
}
