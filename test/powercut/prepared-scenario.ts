/** Makes a scenario ready to be cut: the device as it was, durable; the recording of what happens; how both ends look. */

import type { PackageRequest } from '../../src/download/request.ts';
import type { Files } from '../../src/host/host.ts';
import type { Stage } from '../../src/updater/state.ts';
import { wrongBeforeServices } from './boot-verdict.ts';
import { codeSite } from './code-site.ts';
import type { Subject } from './exploration.ts';
import { startMark } from './lives.ts';
import { migratedMark, runMigration, unmigratedMark, wrongAtStart } from './migration.ts';
import { type ModelDisk, modelDisk } from './model-disk.ts';
import type { Recording } from './model-log.ts';
import type { ModelState } from './model-state.ts';
import { standing, type Tree, treeOf } from './model-tree.ts';
import { appendLine, keptMark } from './own-file.ts';
import { bytesPerSecondOf, packageOf, prepareDisk, type Store } from './prepare-disk.ts';
import { askedMark, rebootedAgain, rebootMark } from './repetition-verdict.ts';
import { versionBefore } from './scenario-packages.ts';
import { act, type Scenario } from './scenarios.ts';
import type { ScriptedProgram } from './scripted-host.ts';
import { allowedRoot, type Session, startSession } from './session.ts';
import { verdict } from './verdict.ts';

export interface PreparedScenario {
  readonly scenario: Scenario;
  readonly before: ModelState;
  readonly oldTree: Tree;
  readonly newTree: Tree;
  readonly recording: Recording;
  /** Restarts the daemon on a disk and judges where it ends. */
  readonly subject: Subject;
  /** The same after the daemon alone was killed: nothing on the disk is lost, what it had stopped is still down. */
  readonly killSubject: Subject;
  /** A life of the daemon on `disk`, through `files` where something stands in front of it. */
  start(disk: ModelDisk, files?: Files): Promise<Session>;
  /** Does what the scenario says; resolves when the daemon rests. Rejects with a refusal. */
  act(session: Session): Promise<void>;
  /** What is wrong after a session that has stopped; `marks`: what was told in the lives before. */
  judge(disk: ModelDisk, session: Session, marks: readonly string[]): string | undefined;
}

export async function prepareScenario(scenario: Scenario): Promise<PreparedScenario> {
  const store = await packageOf(scenario);
  const { old, before } = await prepareDisk(scenario, store);
  const programsOf = (state: ModelState) =>
    standing(state, allowedRoot, scenario.programs).map((argv) => ({ argv }));
  const programs = programsOf(before);
  /** `told`: how much the world was told in the lives before. */
  const scriptFor = (disk: ModelDisk, told = 0, bootId = firstBoot) => ({
    bootId,
    bornMs: 1000 * (scenario.cutBefore.length + told),
    healthStatus: scenario.healthStatus,
    answersReports: scenario.answersReports,
    programs,
    stubborn: scenario.stubborn,
    keepPackage: scenario.keepPackage,
    newUpdater: scenario.newUpdater,
    download: store?.bytes,
    breaksAfterBytes: scenario.breaksAfterBytes,
    bytesPerSecond: bytesPerSecondOf(scenario),
    onAsked: (fromByte: number, toByte: number | undefined) => disk.mark(askedMark(fromByte, toByte)),
    onReboot: () => disk.mark(rebootMark(bootId)),
    onStage: (how: string, stage: Stage) => disk.mark(`${how} ${stage}`),
    onProgram: async (event: string, argv: readonly string[]) => {
      disk.mark(`${event} ${argv.join(' ')}`);
      if (event === 'started') {
        const wrong = scenario.migrates && (await wrongAtStart(disk.files, argv[0] ?? '', versionBefore));
        if (wrong) disk.mark(unmigratedMark(wrong));
      }
      if (scenario.ownFile === undefined || (event === 'ended' && !scenario.savesLast)) return;
      const line = `${argv.join(' ')} ${told + marksOf(disk).length}`;
      disk.mark(keptMark(await appendLine(disk.files, scenario.ownFile, line), line));
    },
    onCommand: (argv: readonly string[]) => {
      const migration = runMigration(disk, argv);
      if (migration !== undefined && argv[0] !== 'sync') disk.mark(migratedMark(argv));
      return migration;
    },
  });
  const perform = (session: Session): Promise<void> => act(session, scenario, () => requestOf(store));

  const disk = modelDisk(before, codeSite);
  const session = await startSession(disk.files, scriptFor(disk));
  await perform(session);
  await session.stop();
  const last = await untilNoneEnds(disk, session, (running) =>
    startSession(disk.files, { ...scriptFor(disk), programs: running }),
  );
  const { stage } = last.updater.progress();
  if (stage !== expectedStage(scenario))
    throw new Error(`${scenario.name}: undisturbed it ends as ${stage}\n${last.host.lines.join('\n')}`);
  const oldTree = treeOf(old, allowedRoot);
  const succeed = async (healthy: ModelDisk) => {
    const script = scriptFor(healthy);
    const luck = {
      ...script,
      healthStatus: 0,
      onCommand: (argv: readonly string[]) => script.onCommand(argv)?.then(() => 0),
      newUpdater: scenario.newUpdater && 'works',
    } as const;
    const lucky = await startSession(healthy.files, luck);
    await perform(lucky);
    await lucky.stop();
    await untilNoneEnds(healthy, lucky, (running) =>
      startSession(healthy.files, { ...luck, programs: running }),
    );
  };
  // Where the machine restarts, the update ends in the boot that follows.
  const rebooted = async (next: ModelDisk) => {
    const booted = await startSession(next.files, scriptFor(next, 0, `${firstBoot}'`));
    await booted.rest();
    await booted.stop();
    return next.state();
  };
  const ended = stage === 'rebooting' ? await rebooted(modelDisk(disk.state())) : disk.state();
  const newTree = await treeAfterSuccess(scenario, old, ended, succeed);
  // Also an update that fails in the end is all new for a while: a boot may find that.
  const isGood = scenario.healthStatus === 0 && scenario.newUpdater !== 'crashes' && scenario.ends !== 'old';
  const switchedTree = isGood ? newTree : await treeOfSwitched(before, succeed);

  const judge: PreparedScenario['judge'] = (judged, after, marks) => {
    if (judged.openCount() > 0) return `${judged.openCount()} files left open`;
    const facts = {
      scenario,
      oldTree,
      newTree,
      packageBytes: store?.bytes,
      stage: after.updater.progress().stage,
      programs: after.host.programs(),
    };
    const wrong = verdict(facts, judged.state(), [...marks, ...marksOf(judged)]);
    return wrong === undefined ? undefined : `${wrong}\n  log: ${after.host.lines.join('\n       ')}`;
  };
  const restart = async (
    restarted: ModelDisk,
    marks: readonly string[],
    running: readonly ScriptedProgram[],
    bootId: string,
  ): Promise<string | undefined> => {
    restarted.mark(startMark);
    const after = await startSession(restarted.files, {
      ...scriptFor(restarted, marks.length, bootId),
      healthStatus: scenario.healthAfterRestart,
      answersReports: true,
      programs: running,
    });
    const stage = await after.rest();
    await after.stop();
    const programsNow = after.host.programs().map((argv) => ({ argv }));
    if (after.isEnding()) return restart(restarted, marks, programsNow, bootId);
    if (stage !== 'rebooting') return judge(restarted, after, marks);
    return (
      rebootedAgain(marksOf(restarted)) ??
      restart(restarted, marks, programsOf(restarted.state()), `${bootId}'`)
    );
  };
  let cuts = 0;
  return {
    scenario,
    before,
    oldTree,
    newTree,
    recording: disk.recording(),
    // A power cut ends device-api and the programs, too: the boot starts them again.
    subject: async (restarted, marks) => {
      cuts += 1;
      // Every second machine has the unit that recovers before its services; the others have the daemon alone.
      const wrong =
        cuts % 2 === 0
          ? undefined
          : await wrongBeforeServices(scenario, restarted, { oldTree, newTree: switchedTree });
      const booted = programsOf(restarted.state());
      return wrong ?? restart(restarted, marks, booted, `${firstBoot}+${marks.length}`);
    },
    killSubject: (restarted, marks) =>
      restart(restarted, marks, runningAfter(scenario.programs, programs, marks), firstBoot),
    start: (started, files = started.files) => startSession(files, scriptFor(started)),
    act: perform,
    judge,
  };
}

const firstBoot = 'boot';

function expectedStage(scenario: Scenario): Stage {
  if (scenario.package?.manifest?.reboot === true) return 'rebooting';
  if (scenario.act === 'download' || scenario.thenDownload) return 'toInstall';
  return scenario.ends === 'new' ? 'success' : 'failed';
}

/** Starts the updater again as long as it ends for another one, on the same disk and in the same boot. Gives the last life. */
async function untilNoneEnds(
  disk: ModelDisk,
  first: Session,
  start: (running: readonly ScriptedProgram[]) => Promise<Session>,
): Promise<Session> {
  let last = first;
  while (last.isEnding()) {
    disk.mark(startMark);
    last = await start(last.host.programs().map((argv) => ({ argv })));
    await last.rest();
    await last.stop();
  }
  return last;
}

/** Where the new set is a possible end: how it looks. Else the old tree once more. */
async function treeAfterSuccess(
  scenario: Scenario,
  old: ModelState,
  after: ModelState,
  succeed: (disk: ModelDisk) => Promise<void>,
): Promise<Tree> {
  switch (scenario.ends) {
    case 'old':
      return treeOf(old, allowedRoot);
    case 'new':
      return treeOf(after, allowedRoot);
    case 'oldUnlessCut': {
      const disk = modelDisk(old);
      await succeed(disk);
      return treeOf(disk.state(), allowedRoot);
    }
    default:
      return scenario.ends satisfies never;
  }
}

async function treeOfSwitched(
  before: ModelState,
  succeed: (disk: ModelDisk) => Promise<void>,
): Promise<Tree> {
  const disk = modelDisk(before);
  await succeed(disk);
  return treeOf(disk.state(), allowedRoot);
}

/** Of `programs`; `before`: those that ran at the beginning. */
function runningAfter(
  programs: Scenario['programs'],
  before: readonly ScriptedProgram[],
  marks: readonly string[],
): ScriptedProgram[] {
  const ranBefore = (name: string) => before.some(({ argv }) => argv.join(' ') === name);
  return programs
    .filter((argv) => {
      const name = argv.join(' ');
      const last = marks.findLast((mark) => mark === `ended ${name}` || mark === `started ${name}`);
      return last === undefined ? ranBefore(name) : last === `started ${name}`;
    })
    .map((argv) => ({ argv }));
}

/** What the world was told during the lives on this disk. */
export function marksOf(disk: ModelDisk): string[] {
  return disk.recording().steps.flatMap((step) => (step.kind === 'mark' ? [step.name] : []));
}

function requestOf(store: Store | undefined): PackageRequest {
  if (store === undefined) throw new Error('the scenario has no package');
  return store.request;
}
