/**
 * Whole updates on a machine where everything comes late (network/late-wakeups.ts): downloads that use what is here, verifications, installs
 * with services, trees and commands, rollbacks. None hangs, none fails, nothing of the product is found stuck, and each set stands whole.
 *
 * LATE_INSTALLS: how many (default 4); LATE_SEED repeats a run.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Host } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { createUpdater } from '../../src/updater/runner.ts';
import type { RunningUpdater } from '../../src/updater/state.ts';
import { chance } from '../fixtures/mutate.ts';
import { buildPackage, contentBytes, type FileSpec } from '../fixtures/package-builder.ts';
import { plainSettings } from '../fixtures/plain-settings.ts';
import { startFaultServer } from '../network/fault-server.ts';
import { type LateMachine, lateMachine } from '../network/late-wakeups.ts';
import { requestFor } from '../network/rig.ts';
import { scriptedHost } from '../powercut/scripted-host.ts';

const test = suite('late installs');
const installs = Number(process.env.LATE_INSTALLS ?? 4);
const firstSeed = Number(process.env.LATE_SEED ?? Date.now() % 1_000_000_000);
const installsOfDevice = 4;
const atOnce = Math.min(3, Math.ceil(installs / installsOfDevice));
const hungAfterMs = 90_000;

/** In memory where that can be had: a disk would only make it slower. */
const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'late-'));

test(`${installs} installs end, none hung, nothing found stuck`, async () => {
  const machine = lateMachine(firstSeed);
  const counted = { installs: 0, rollbacks: 0, adaptive: 0 };
  let next = 0;
  const worker = async () => {
    while (counted.installs < installs) await play(machine, firstSeed + next++, counted);
  };
  const beganMs = performance.now();
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
  } finally {
    machine.restore();
    rmSync(scratch, { recursive: true, force: true });
  }
  const perSecond = ((1000 * counted.installs) / (performance.now() - beganMs)).toFixed(1);
  console.log(`measured: LATE_SEED=${firstSeed}: ${JSON.stringify(counted)}, 0 hung, ${perSecond} a second`);
});

test.run();

/** The life of one device: some versions one after another, one of them taken back at times. */
async function play(
  machine: LateMachine,
  seed: number,
  counted: { installs: number; rollbacks: number; adaptive: number },
): Promise<void> {
  const dice = chance(seed);
  const folder = join(scratch, String(seed));
  const [root, work] = [join(folder, 'opt'), join(folder, 'work')];
  for (const path of [root, work, join(work, 'tmp'), join(work, 'backups')])
    mkdirSync(path, { recursive: true });
  const { updater, lines } = await startUpdater(machine, root, work);
  const reach = (what: string) => reached(updater, `LATE_SEED=${seed} ${what}`, lines);
  let standing: Record<string, FileSpec> | undefined;
  try {
    for (let n = 1; n <= installsOfDevice; n++) {
      const version = `1.${n}.0`;
      const files = filesOf(version, dice.below(3));
      const spec = { version, modules: modulesOf(root), files, withDigests: dice.below(2) === 0 };
      const { path } = await buildPackage(spec, join(folder, `${version}.zip`));
      const bytes = readFileSync(path);
      const broken = { kind: 'cut', afterBytes: 1 + dice.below(bytes.length) } as const;
      const steps = dice.below(3) === 0 ? [broken] : [];
      const server = await startFaultServer({ versions: [bytes], steps });
      try {
        await updater.download(requestFor(server.url, bytes, { version }));
        assert.is(await reach('download'), 'toInstall', lines.slice(-12).join('\n'));
      } finally {
        await server.close();
      }
      if (server.seen.some(({ headers }) => /^bytes=\d+-\d+$/.test(headers.range ?? '')))
        counted.adaptive += 1;
      await updater.update({ version, allow_downgrade: false });
      assert.is(await reach('install'), 'success', lines.slice(-12).join('\n'));
      counted.installs += 1;
      standsAs(root, files);
      if (standing !== undefined && dice.below(4) === 0) {
        await updater.rollback(undefined);
        assert.is(await reach('rollback'), 'success', lines.slice(-12).join('\n'));
        counted.rollbacks += 1;
        standsAs(root, standing);
      } else standing = files;
    }
  } finally {
    await updater.stop();
  }
  assert.not.match(lines.join('\n'), /does not go on/, `LATE_SEED=${seed}`);
  rmSync(folder, { recursive: true, force: true });
}

async function startUpdater(
  machine: LateMachine,
  root: string,
  work: string,
): Promise<{ updater: RunningUpdater; lines: string[] }> {
  const lines: string[] = [];
  const line = (text: string) => void lines.push(text);
  const scripted = scriptedHost(machine.files, {
    bootId: 'boot-0',
    bornMs: 0,
    healthStatus: 0,
    answersReports: true,
    programs: [{ argv: [join(root, 'api/api')] }],
    stubborn: [],
    onProgram: () => undefined,
    onCommand: async () => 0,
    download: undefined,
    breaksAfterBytes: undefined,
    onAsked: () => undefined,
    onReboot: () => undefined,
    onReport: () => undefined,
  });
  const host: Host = {
    files: machine.files,
    clock: machine.clock,
    net: machine.net,
    processes: machine.processes(scripted.processes),
    log: { debug: line, info: line, warn: line, error: line },
    memory: freeMemory,
  };
  const updater = createUpdater(host, plainSettings(work, root), []);
  await updater.recover();
  return { updater, lines };
}

/** A program that runs, one that a command goes with, and a tree: enough files to be made durable at once. */
function modulesOf(root: string): Record<string, unknown>[] {
  return [
    {
      name: 'api',
      src: 'm/api',
      dst: join(root, 'api/api'),
      process_name: 'api',
      restart_order: 1,
      start: [join(root, 'api/api')],
      health: { exec: ['/bin/check'] },
    },
    { name: 'tool', src: 'm/tool', dst: join(root, 'tool'), before_start: [['/bin/migrate', 'now']] },
    { name: 'web', src: 'web', dst: join(root, 'web'), exact: true },
  ];
}

const picture = randomBytes(300_000);

/** Of each version other programs, and a tree of which `changed` pages are others; one picture is large, and stays. */
function filesOf(version: string, changed: number): Record<string, FileSpec> {
  const page = (n: number) => `page ${n} of ${n < changed ? version : 'ever'} `.repeat(40);
  const pages = Array.from({ length: 9 }, (_, n): [string, FileSpec] => [
    `web/${n}.html`,
    { content: page(n) },
  ]);
  return {
    'm/api': { content: `api of ${version}`, mode: 0o755 },
    'm/tool': { content: `tool of ${version}`.repeat(2_000), mode: 0o755 },
    'web/picture': { content: picture, compress: false },
    ...Object.fromEntries(pages),
  };
}

function standsAs(root: string, files: Record<string, FileSpec>): void {
  for (const [name, { content }] of Object.entries(files)) {
    const path = name === 'm/api' ? 'api/api' : name.replace('m/', '');
    assert.ok(readFileSync(join(root, path)).equals(contentBytes(content)), name);
  }
  const names = readdirSync(root, { recursive: true }).map(String);
  assert.equal(
    names.filter((name) => name.includes('.tope-')),
    [],
    'leftovers',
  );
}

async function reached(updater: RunningUpdater, what: string, lines: readonly string[]): Promise<string> {
  const untilMs = performance.now() + hungAfterMs;
  for (;;) {
    const { stage } = updater.progress();
    if (['toInstall', 'success', 'failed', 'idle'].includes(stage)) {
      await updater.settled();
      if (updater.progress().stage === stage) return stage;
    }
    if (performance.now() > untilMs)
      throw new Error(`${what} hangs as ${stage}; its log:\n${lines.slice(-30).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
