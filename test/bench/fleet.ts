/**
 * (g) The daemon of a fleet over https: a thousand polls, then an order of 300 MB. Peak resident memory of the whole process, and the
 * longest block of its event loop in another run.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from '../../src/limits.ts';
import { type DdiServer, startDdiServer } from '../fixtures/ddi-server.ts';
import { type Certificates, makeCertificates } from '../network/certificates.ts';
import { type Row, skippedRow } from './figures.ts';
import { loopRow } from './loop.ts';
import { defaultReadAhead, dropPageCache } from './machine.ts';
import { describe, sampled } from './memory.ts';
import { type BenchPackage, speedPackage } from './packages.ts';
import type { Bench } from './setting.ts';
import { startUpdater, targetsOf, type Updater } from './updater.ts';
import { waitUntil } from './wait.ts';

const boundMb = 50;
const polls = 1000;
const withinMs = 300_000;
const authorization = 'TargetToken 0123456789abcdef';

export async function measureFleet(bench: Bench): Promise<Row[]> {
  const subject = `a fleet over https, ${polls} polls and 300 MB`;
  const what = `peak resident memory, ${subject}`;
  const certificates = makeCertificates();
  if (certificates === undefined) return [skippedRow('g', what, 'openssl is not installed')];
  const made = await speedPackage(bench.www, targetsOf(folderOf(bench)));
  const restoreReadAhead = defaultReadAhead(bench.executable);
  const { cert, key } = certificates.server;
  const server = await startDdiServer({ authorization, tls: { cert, key } });
  server.files.set(made.name, readFileSync(made.path));
  const act = (env: Readonly<Record<string, string>>) => memberOf(bench, server, certificates, made, env);
  try {
    const peaks: number[] = [];
    const notes: string[] = [];
    for (let round = 0; round < Math.max(1, Math.min(3, bench.rounds)); round++) {
      dropPageCache();
      const found = await act({});
      peaks.push(found.peakKb / 1024);
      notes.push(describe(found));
      bench.say(`${what}: ${notes.at(-1)}`);
    }
    const worst = peaks.indexOf(Math.max(...peaks));
    const note = notes[worst] ?? '';
    return [
      { id: 'g', what, value: peaks[worst], unit: 'MB', target: boundMb, note },
      await loopRow(bench, `longest block of the event loop, ${subject}`, act),
    ];
  } finally {
    restoreReadAhead();
    await server.close();
    certificates.remove();
  }
}

/** One life of a daemon. */
async function memberOf(
  bench: Bench,
  server: DdiServer,
  { caFile }: Certificates,
  made: BenchPackage,
  env: Readonly<Record<string, string>>,
) {
  const tokenFile = join(bench.scratch, 'token');
  writeFileSync(tokenFile, '0123456789abcdef\n', { mode: 0o600 });
  const fleet = ['--fleet-url', server.url, '--fleet-id', 'dev-1', '--fleet-token-file', tokenFile];
  const updater = await startUpdater({
    folder: folderOf(bench),
    executable: bench.executable,
    flags: ['--ca-file', caFile, ...fleet],
    env,
  });
  try {
    if (env.LOOP_DELAY_FILE !== undefined) {
      // What a start leaves to a moment when nobody asks is over then.
      await sleep(2 * limits.shrinkAtRestMs);
      process.kill(updater.pid, 'SIGUSR2');
    }
    return await sampled(updater, async () => {
      for (let poll = 0; poll < polls; poll++) await pollOnce(updater);
      const modules = [{ name: 'models', version: made.version, files: [made.name] }];
      const id = server.ddi.assign({ modules });
      await pollOnce(updater);
      // Not asked for again and again: a device polls once a minute meanwhile.
      await waitUntil('the order is carried out', withinMs, async () => {
        const { state, told } = server.ddi.action(id);
        if (state === 'error') throw new Error(told.join('\n'));
        return state === 'finished';
      });
    });
  } finally {
    await updater.stop();
  }
}

async function pollOnce(updater: Updater): Promise<void> {
  const url = new URL('fleet', updater.progressUrl).href;
  const count = async () => {
    const answer = await fetch(url);
    const { data } = (await answer.json()) as {
      data: { polls: { answered: number; failed: number } };
    };
    return data.polls.answered + data.polls.failed;
  };
  const before = await count();
  const headers = { 'content-type': 'application/json' };
  await fetch(url, { method: 'POST', headers, body: JSON.stringify({ poll: true }) });
  await waitUntil('the poll has ended', withinMs, async () => (await count()) > before, 1);
}

function folderOf(bench: Bench): string {
  return join(bench.scratch, 'fleet');
}
