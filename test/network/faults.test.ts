/**
 * Random fault scripts: whatever a package store does, a download ends with the right file or with an error, never with a
 * wrong file; and the next download from the healthy store succeeds, with what the first one left behind.
 *
 * FAULT_SCRIPTS: how many (default 150). FAULT_SEED: repeats a run; each script's own seed is in a failure's text.
 */
import { existsSync, mkdirSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ErrorCode } from '../../src/errors.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { type FaultServer, type Step, startFaultServer } from './fault-server.ts';
import { type Outcome, obtain, requestFor, skipped, someBytes, temporaryDirectory, testHost } from './rig.ts';
import { type Profile, plainProfile } from './store-profile.ts';

const scripts = Number(process.env.FAULT_SCRIPTS ?? 150);
const seed = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000_000);
const atOnce = 6;
const stallTimeoutMs = 500;

test(`${scripts} fault scripts end with the right file or the right error`, async () => {
  console.log(`measured: fault scripts: ${scripts}, FAULT_SEED=${seed}`);
  const certificates = makeCertificates();
  if (certificates === undefined) skipped('fault scripts over https', 'no openssl program');
  const work = temporaryDirectory();
  const counts: Record<string, number> = {};
  let next = 0;
  const worker = async () => {
    while (next < scripts) {
      const number = next++;
      const directory = join(work.path, String(number));
      mkdirSync(directory);
      const ending = await playScript(seed + number * 7919, directory, certificates);
      counts[ending] = (counts[ending] ?? 0) + 1;
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
  } finally {
    work.remove();
    certificates?.remove();
  }
  console.log(`measured: endings: ${JSON.stringify(counts)}`);
});

test.run();

/** Plays one script to its end and heals the server; returns how the faulty part ended. */
async function playScript(
  scriptSeed: number,
  directory: string,
  certificates: Certificates | undefined,
): Promise<string> {
  const random = generator(scriptSeed);
  const sizeBytes = random.upTo(700_000) + 1;
  const versions = [someBytes(sizeBytes), someBytes(sizeBytes)];
  const right = versions[0] ?? new Uint8Array();
  const profile = randomProfile(random);
  const steps = Array.from({ length: random.upTo(8) }, () => randomStep(random, sizeBytes));
  const tls = certificates !== undefined && random.upTo(8) === 0 ? certificates.server : undefined;
  const server = await startFaultServer({ versions, profile, steps, ...(tls ? { tls } : {}) });
  const host = testHost({}, { caFile: certificates?.caFile });
  const request = requestFor(server.url, right);
  const told = () => `seed ${scriptSeed}: ${JSON.stringify({ sizeBytes, profile, steps, tls: !!tls })}`;
  try {
    const cancelAt = random.upTo(4) === 0 ? random.upTo(sizeBytes) : undefined;
    const first = await obtainUntil(host, directory, request, cancelAt);
    check(first, right, steps, cancelAt !== undefined, told);
    if (first.file === undefined && mustSucceed(profile, steps) && cancelAt === undefined)
      throw new Error(`failed although every fault was survivable: ${first.error?.message}; ${told()}`);
    if (first.error !== undefined)
      await recover(server, host, directory, request, first, random, right, told);
    assert.equal(readdirSync(directory), ['package.zip'], told());
    return first.error?.code ?? 'right file';
  } finally {
    await server.close();
  }
}

function obtainUntil(
  host: ReturnType<typeof testHost>,
  directory: string,
  request: ReturnType<typeof requestFor>,
  cancelAt: number | undefined,
): Promise<Outcome> {
  const stop = new AbortController();
  const onProgress = (bytes: number) => {
    if (cancelAt !== undefined && bytes >= cancelAt) stop.abort();
  };
  return obtain(host, directory, request, { stallTimeoutMs, signal: stop.signal, onProgress });
}

/** The next /download: maybe with bytes lost by a power cut, maybe with an older state, from a healthy store. */
async function recover(
  server: FaultServer,
  host: ReturnType<typeof testHost>,
  directory: string,
  request: ReturnType<typeof requestFor>,
  first: Outcome,
  random: Random,
  right: Uint8Array,
  told: () => string,
): Promise<void> {
  server.heal();
  const part = join(directory, 'package.zip.part');
  if (existsSync(part) && random.upTo(2) === 0) truncateSync(part, random.upTo(statSync(part).size + 1));
  const resume = first.saved[first.saved.length - 1 - random.upTo(Math.min(3, first.saved.length))];
  const second = await obtain(host, directory, request, { resume, stallTimeoutMs: 5_000 });
  if (second.error !== undefined)
    throw new Error(`the healthy server did not help: ${second.error.message}; ${told()}`);
  assert.ok(
    Buffer.from(right).equals(second.file ?? new Uint8Array()),
    `wrong file after recovery; ${told()}`,
  );
}

function check(
  outcome: Outcome,
  right: Uint8Array,
  steps: readonly Step[],
  mayCancel: boolean,
  told: () => string,
): void {
  if (outcome.file !== undefined) {
    assert.ok(Buffer.from(right).equals(outcome.file), `WRONG FILE ACCEPTED; ${told()}`);
    return;
  }
  const allowed = new Set<ErrorCode>(['DOWNLOAD_FAILED']);
  if (mayCancel) allowed.add('CANCELLED');
  if (steps.some((step) => ['wrongTotal', 'chunked', 'wrongLength'].includes(step.kind)))
    allowed.add('SIZE_MISMATCH');
  if (steps.some((step) => step.kind === 'swap' || step.kind === 'wrongOffset')) allowed.add('MD5_MISMATCH');
  const code = outcome.error?.code ?? 'INTERNAL_ERROR';
  if (!allowed.has(code))
    throw new Error(`not an error this script explains: ${outcome.error?.message}; ${told()}`);
}

/**
 * True when each fault leaves a way on and no four tries in a row failed, of which a broken one may be the first although it brought
 * bytes: three retries follow the last progress (retry.ts).
 */
function mustSucceed(profile: Profile, steps: readonly Step[]): boolean {
  if (!profile.ranges) return false;
  // Else the whole is answered to the first question for a rest, which is given up for a second question.
  const resumesAtOnce = profile.ifRange !== 'date' || profile.etag !== 'strong';
  let failed = 0;
  for (const step of steps) {
    if (step.kind === 'cut' && step.afterBytes > 0 && resumesAtOnce) failed = 1;
    else if (['reset', 'stall', 'mute', 'hangUp', 'garbage', 'cut'].includes(step.kind)) failed++;
    else if (step.kind === 'status' && [404, 408, 429, 500, 503].includes(step.status)) failed++;
    else if (step.kind !== 'serve' && step.kind !== 'delay') return false;
    if (failed >= 4) return false;
  }
  return true;
}

interface Random {
  /** 0 .. below-1. */
  upTo(below: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
}

/** mulberry32: small, seeded, good enough to shuffle faults. */
function generator(from: number): Random {
  let state = from >>> 0;
  const upTo = (below: number) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
  return { upTo, pick: (choices) => choices[upTo(choices.length)] ?? choices[0] };
}

function randomProfile(random: Random): Profile {
  const profile: Profile = {
    etag: random.pick(['strong', 'strong', 'weak', 'bare', 'none']),
    lastModified: random.upTo(3) > 0,
    ranges: random.upTo(10) > 0,
    ifRange: random.pick(['both', 'both', 'date', 'ignored']),
    contentRangeOn416: random.upTo(2) === 0,
    contentRangeOn200: random.upTo(5) === 0,
  };
  return random.upTo(3) === 0 ? plainProfile : profile;
}

function randomStep(random: Random, sizeBytes: number): Step {
  const afterBytes = random.upTo(sizeBytes);
  const some = random.upTo(5_000) - 2_500 || 1;
  const common: readonly [Step, ...Step[]] = [
    { kind: 'cut', afterBytes },
    { kind: 'cut', afterBytes },
    { kind: 'reset', afterBytes },
    { kind: 'serve' },
    { kind: 'hangUp' },
    { kind: 'delay', ms: random.upTo(30) },
    { kind: 'status', status: random.pick([404, 408, 429, 500, 503]), headers: { 'retry-after': '1' } },
    { kind: 'ignoreRange' },
  ];
  const rare: readonly [Step, ...Step[]] = [
    { kind: 'stall', afterBytes },
    { kind: 'mute' },
    { kind: 'garbage' },
    { kind: 'status', status: random.pick([204, 304, 400, 401, 403, 410, 416, 418]) },
    {
      kind: 'redirect',
      status: random.pick([301, 302, 303, 307, 308]),
      location: random.pick(['/other', '?x=1']),
    },
    { kind: 'redirect', status: 302, location: 'http://example.com/package.zip' },
    { kind: 'wrongOffset', shiftBytes: some, lying: false },
    { kind: 'wrongOffset', shiftBytes: some, lying: true },
    { kind: 'wrongTotal', extraBytes: some },
    { kind: 'noContentRange' },
    { kind: 'chunked', extraBytes: random.pick([0, some]) },
    { kind: 'wrongLength', extraBytes: some },
    { kind: 'encoded', coding: 'gzip' },
    { kind: 'swap', version: random.upTo(2) },
    { kind: 'swap', version: 1 },
  ];
  return random.upTo(5) < 3 ? random.pick(common) : random.pick(rare);
}
