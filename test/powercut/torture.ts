/**
 * The long proof (`make torture`): the model disk in depth with all mutants, at least 1000 power cuts on four real
 * filesystems, the story of a printer cut at 190 points, at least 200 kill points, a crash loop, 1000 installs on one daemon, 3000 downloads from a store that
 * misbehaves, and cuts and kills of an updater that replaces itself by each kind of new one. One summary line for each; exit 1 when
 * anything is bad. What this machine lacks is reported as skipped, with the reason.
 *
 * Usage: tsx test/powercut/torture.ts [SEED [PART ...]]
 *        parts: model mutants faults disks self printer kills selfkills loop installs downloads
 */
import { fileURLToPath } from 'node:url';
import { newUpdaterKinds } from '../fixtures/new-updaters.ts';
import { whyNoPrinter } from '../fixtures/printer/made.ts';
import { crashLoop } from './crash-loop.ts';
import { sweepFaults, sweptScenarios } from './fault-sweep.ts';
import { filesystems, whyUnavailable } from './filesystems.ts';
import { installMany } from './install-cycles.ts';
import { killAtEveryCall, whyNoStrace } from './kill-points.ts';
import { runMutants } from './mutant-run.ts';
import { cutPrinterStory, summaryOf } from './printer-cuts.ts';
import { cutOnRealDisk } from './real-disk.ts';
import { run } from './run-tool.ts';
import { runScenario } from './scenario-run.ts';
import { scenarios } from './scenarios.ts';
import { cutSelfUpdate } from './self-disk.ts';

const seed = Number(process.argv[2] ?? 1);
const modelDepth = { exhaustiveUpTo: 7, nestedExhaustiveUpTo: 5, samples: 16, nestedEvery: 12, killEvery: 1 };
const cutsPerFilesystem = { success: 400, 'failing health': 150 } as const;
/** Over all the writes of the printer's story, by filesystem; half as many more over what follows the first update. */
const printerCuts: Readonly<Record<string, number>> = { ext4: 60, xfs: 20, btrfs: 20 };
const endings = ['success', 'failing health'] as const;
/** Of each kind of new updater, first cuts on ext4 and on each of the others. */
const selfCuts = { ext4: 18, others: 4 };
const selfKills = 25;
const cycles = 1000;
const faultScripts = 3000;
const started = performance.now();
let badCount = 0;

const parts: Readonly<Record<string, () => Promise<void>>> = {
  model,
  mutants,
  faults,
  disks: realDisks,
  self: selfUpdates,
  printer,
  kills,
  selfkills,
  loop,
  installs: manyInstalls,
  downloads,
};
const asked = process.argv.slice(3);
for (const [name, part] of Object.entries(parts))
  if (asked.length === 0 || asked.includes(name)) await part();
console.log(`torture: ${badCount} bad, ${seconds(started)} s`);
process.exit(badCount > 0 ? 1 : 0);

async function model(): Promise<void> {
  for (const scenario of scenarios) {
    const found = await runScenario(scenario, { ...modelDepth, seed });
    badCount += found.failures.length;
    for (const failure of found.failures.slice(0, 3)) console.log(`${failure.why}\n${failure.cut}`);
    console.log(
      `model: ${scenario.name}: ${found.states} states, ${found.nestedStates} with a second cut, ${found.kills} kills, ${found.failures.length} bad, ${(found.ms / 1000).toFixed(0)} s`,
    );
  }
}

async function mutants(): Promise<void> {
  const since = performance.now();
  const outcome = await runMutants(
    {
      scenarios,
      eachSync: true,
      failuresWanted: 5,
      cut: { exhaustiveUpTo: 7, samples: 2 },
      seed,
      recoveries: 6,
    },
    (line) => console.log(`mutant: ${line}`),
  );
  badCount += outcome.survivors.length;
  console.log(
    `mutants: ${outcome.total}: ${outcome.caught} caught, ${outcome.survivors.length} not caught, ${seconds(since)} s${outcome.survivors.map((name) => `\n  NOT CAUGHT ${name}`).join('')}`,
  );
}

async function faults(): Promise<void> {
  for (const name of sweptScenarios) {
    const since = performance.now();
    const result = await sweepFaults(name, { allKinds: true, recoveries: 8 });
    badCount += result.bad.length;
    for (const bad of result.bad.slice(0, 3)) console.log(bad);
    console.log(
      `n-th fault: ${name}: ${result.faults} faults at ${result.calls} calls, ${result.fullDisks} full disks, ${result.recoveryFaults} faults in recoveries, ${result.bad.length} bad, ${seconds(since)} s`,
    );
  }
}

async function realDisks(): Promise<void> {
  for (const filesystem of filesystems) {
    const why = await whyUnavailable(filesystem);
    if (why !== undefined) {
      console.log(`skipped: power cuts on ${filesystem.name}: ${why}`);
      continue;
    }
    const total = {
      cuts: 0,
      old: 0,
      new: 0,
      boots: 0,
      halves: 0,
      bad: 0,
      unmountable: 0,
      writes: 0,
      flushes: 0,
    };
    const since = performance.now();
    for (const ending of endings) {
      const result = await cutOnRealDisk({ filesystem, ending, cuts: cutsPerFilesystem[ending], seed });
      for (const key of [
        'cuts',
        'old',
        'new',
        'boots',
        'halves',
        'unmountable',
        'writes',
        'flushes',
      ] as const)
        total[key] += result[key];
      total.bad += result.bad.length;
      for (const bad of result.bad.slice(0, 3)) console.log(bad);
    }
    badCount += total.bad;
    console.log(
      `disk: ${filesystem.name}: ${total.cuts} power cuts, ${total.bad} bad (${total.old} old, ${total.new} new, ${total.boots} recovered at boot, ${total.halves} of them halves, ${total.unmountable} not mountable; ${total.writes} writes and ${total.flushes} flushes recorded), ${seconds(since)} s`,
    );
  }
}

async function printer(): Promise<void> {
  for (const [name, cuts] of Object.entries(printerCuts)) {
    const filesystem = filesystems.find((each) => each.name === name);
    if (filesystem === undefined) throw new Error(`no filesystem ${name}`);
    const why = (await whyNoPrinter()) ?? (await whyUnavailable(filesystem));
    if (why !== undefined) {
      console.log(`skipped: the story of a printer on ${name}: ${why}`);
      continue;
    }
    const result = await cutPrinterStory(filesystem, cuts, seed, console.log);
    badCount += result.bad.length;
    console.log(`printer: ${name}: ${summaryOf(result)}`);
  }
}

async function selfUpdates(): Promise<void> {
  for (const filesystem of filesystems) {
    const why = await whyUnavailable(filesystem);
    if (why !== undefined) {
      console.log(`skipped: power cuts of a self-update on ${filesystem.name}: ${why}`);
      continue;
    }
    const cuts = filesystem.name === 'ext4' ? selfCuts.ext4 : selfCuts.others;
    for (const kind of newUpdaterKinds) {
      const result = await cutSelfUpdate({ filesystem, kind, cuts, againEvery: 5, seed });
      badCount += result.bad.length;
      for (const bad of result.bad.slice(0, 3)) console.log(bad);
      console.log(
        `self: ${filesystem.name}: ${kind}: ${result.cuts} power cuts, ${result.again} of them second ones, ${result.bad.length} bad (${result.old} old, ${result.new} new, ${result.waiting} not asked yet, ${result.boots} recovered at boot, ${result.unmountable} not mountable; ${result.writes} writes recorded), ${(result.ms / 1000).toFixed(0)} s`,
      );
    }
  }
}

async function selfkills(): Promise<void> {
  const since = performance.now();
  const output = await ofTestFile('../integration/self-update-kills.long.test.ts', {
    TOPE_SELF_KILLS: String(selfKills),
  });
  for (const [line] of output?.matchAll(/^measured: .*$/gm) ?? []) console.log(`self kill: ${line}`);
  console.log(`self kills: ${output === undefined ? 'BAD' : '0 bad'}, ${seconds(since)} s`);
}

async function kills(): Promise<void> {
  const why = await whyNoStrace();
  if (why !== undefined) return console.log(`skipped: kill points: ${why}`);
  for (const ending of endings) {
    const result = await killAtEveryCall({ ending, points: Number.POSITIVE_INFINITY });
    badCount += result.bad.length;
    for (const bad of result.bad.slice(0, 3)) console.log(bad);
    console.log(
      `kill: update with ${ending}: ${result.kills} kill points of ${result.calls} calls, ${result.bad.length} bad (${result.old} old, ${result.new} new, ${result.missed} not reached), ${(result.ms / 1000).toFixed(0)} s`,
    );
  }
}

async function loop(): Promise<void> {
  const result = await crashLoop({ starts: 20, lifeMs: 1000 });
  if (result.bad !== undefined) {
    badCount += 1;
    console.log(result.bad);
  }
  console.log(
    `crash loop: killed 1 s after each of 20 starts, ${result.killsInInstall} times in mid-install: rests as ${result.stage}, the set is ${result.set}, ${result.bad === undefined ? 0 : 1} bad, ${(result.ms / 1000).toFixed(0)} s`,
  );
}

async function manyInstalls(): Promise<void> {
  const result = await installMany(cycles, seed);
  const sameNames = result.namesBefore.join() === result.namesAfter.join();
  const sameDescriptors = result.descriptorsBefore === result.descriptorsAfter;
  const isFlat = result.residentAfterKiB < result.residentBeforeKiB * 1.1;
  if (!sameNames || !sameDescriptors || !isFlat) badCount += 1;
  if (!sameNames)
    console.log(`names before: ${result.namesBefore.join(' ')}\nafter: ${result.namesAfter.join(' ')}`);
  console.log(
    `installs: ${result.cycles} on one daemon: descriptors ${result.descriptorsBefore} -> ${result.descriptorsAfter}, files ${result.namesBefore.length} -> ${result.namesAfter.length}, resident ${(result.residentBeforeKiB / 1024).toFixed(1)} -> ${(result.residentAfterKiB / 1024).toFixed(1)} MB, ${(result.ms / 1000).toFixed(0)} s`,
  );
}

async function downloads(): Promise<void> {
  const since = performance.now();
  const output = await ofTestFile('../network/faults.test.ts', {
    FAULT_SCRIPTS: String(faultScripts),
    FAULT_SEED: String(seed),
  });
  if (output === undefined) return;
  const endings = /^measured: endings: (.*)$/m.exec(output)?.[1] ?? output;
  console.log(`downloads: ${faultScripts} fault scripts, 0 bad: ${endings}, ${seconds(since)} s`);
}

/** What a test file prints that is asked for more than CI asks it for; undefined where it fails. */
async function ofTestFile(path: string, env: Readonly<Record<string, string>>): Promise<string | undefined> {
  const file = fileURLToPath(new URL(path, import.meta.url));
  try {
    return await run([process.execPath, '--import', 'tsx', file], {
      env: { ...env, NO_COLOR: '1' },
      timeoutMs: 3_600_000,
    });
  } catch (thrown) {
    badCount += 1;
    console.log(`${path}: BAD: ${thrown instanceof Error ? thrown.message : thrown}`);
    return undefined;
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(0);
}
