/**
 * Downloads on a machine where everything comes late (late-wakeups.ts), from a store that breaks off, with files here that are used, cancelled
 * and taken up again: none of them hangs, and nothing of the product is found stuck.
 *
 * LATE_DOWNLOADS: how many (default 12); LATE_SEED repeats one.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deploy, packageOf } from '../download/adaptive-store.ts';
import { chance } from '../fixtures/mutate.ts';
import { type FaultServer, type Step, startFaultServer } from './fault-server.ts';
import { lateMachine } from './late-wakeups.ts';
import { obtain, requestFor, temporaryDirectory, testHost } from './rig.ts';

const test = suite('late wake-ups');
const downloads = Number(process.env.LATE_DOWNLOADS ?? 12);
const firstSeed = Number(process.env.LATE_SEED ?? Date.now() % 1_000_000_000);
const atOnce = 4;
const hungAfterMs = 60_000;

test(`${downloads} downloads end, none hung, nothing found stuck`, async () => {
  const work = temporaryDirectory();
  const kinds = { threads: 0, cancelled: 0, adaptive: 0 };
  const machine = lateMachine(firstSeed);
  const files = {
    'web/a': { content: randomBytes(300_000), compress: false },
    'web/b': { content: randomBytes(400_000), compress: false },
  };
  const bytes = await packageOf(join(work.path, 'package.zip'), files);
  const here = deploy(join(work.path, 'here'), { 'web/a': files['web/a'] });
  let next = 0;
  const worker = async () => {
    while (next < downloads) await play(firstSeed + next++);
  };
  const beganMs = performance.now();
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
  } finally {
    machine.restore();
    work.remove();
  }
  const perSecond = Math.round((1000 * downloads) / (performance.now() - beganMs));
  console.log(
    `measured: LATE_SEED=${firstSeed}: ${downloads} downloads, 0 hung, ${perSecond} a second, ${JSON.stringify(kinds)}`,
  );

  async function play(seed: number): Promise<void> {
    const dice = chance(seed);
    const directory = join(work.path, String(seed));
    mkdirSync(directory);
    const isAdaptive = dice.below(3) === 0;
    const version = isAdaptive ? bytes : Buffer.from(randomBytes(1 + dice.below(900_000)));
    const steps = Array.from({ length: dice.below(3) }, (): Step => {
      const afterBytes = 1 + dice.below(version.length);
      return dice.below(2) === 0 ? { kind: 'cut', afterBytes } : { kind: 'delay', ms: dice.below(4) };
    });
    const server = await startFaultServer({ versions: [version], steps });
    kinds.threads += version.length >= 200_000 ? 1 : 0;
    kinds.adaptive += isAdaptive ? 1 : 0;
    try {
      const first = await ended(
        seed,
        server,
        directory,
        version,
        dice.below(3) === 0 ? dice.below(version.length) : undefined,
        undefined,
      );
      if (first.error?.code === 'CANCELLED') {
        kinds.cancelled += 1;
        const second = await ended(seed, server, directory, version, undefined, first.saved.at(-1));
        assert.is(second.error, undefined, `seed ${seed}: ${second.error?.message}`);
      } else assert.is(first.error, undefined, `seed ${seed}: ${first.error?.message}`);
      assert.is(statSync(join(directory, 'package.zip')).size, version.length);
    } finally {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  }

  async function ended(
    seed: number,
    server: FaultServer,
    directory: string,
    version: Buffer,
    cancelAt: number | undefined,
    resume: Awaited<ReturnType<typeof obtain>>['saved'][number] | undefined,
  ): ReturnType<typeof obtain> {
    const host = testHost(machine);
    const stop = new AbortController();
    const done = obtain(host, directory, requestFor(server.url, version), {
      resume,
      signal: stop.signal,
      stallTimeoutMs: 20_000,
      stuckTimeoutMs: 20_000,
      candidates: version === bytes ? here : undefined,
      onProgress: (at) => {
        if (cancelAt !== undefined && at >= cancelAt) stop.abort();
      },
    });
    let timer: NodeJS.Timeout | undefined;
    const hung = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(new Error(`LATE_SEED=${seed} LATE_DOWNLOADS=1 hangs; its log:\n${host.lines.join('\n')}`)),
        hungAfterMs,
      );
    });
    try {
      const outcome = await Promise.race([done, hung]);
      assert.not.match(host.lines.join('\n'), /does not go on/, `seed ${seed}`);
      return outcome;
    } finally {
      clearTimeout(timer);
    }
  }
});

test.run();
