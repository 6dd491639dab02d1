/** Makes a scenario ready to be cut: the device as it was, durable; the recording of what happens; how both ends look. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import type { Files } from '../../src/host/host.ts';
import type { PackageRequest } from '../../src/package/request.ts';
import type { Stage } from '../../src/updater/state.ts';
import { buildPackage, type PackageSpec } from '../fixtures/package-builder.ts';
import { codeSite } from './code-site.ts';
import type { Subject } from './exploration.ts';
import { type ModelDisk, modelDisk } from './model-disk.ts';
import type { Recording } from './model-log.ts';
import { emptyModel, type ModelState } from './model-state.ts';
import { type Tree, treeOf } from './model-tree.ts';
import { act, type Scenario } from './scenarios.ts';
import { allowedRoot, type Session, startSession, workDirectory } from './session.ts';
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

export const packageName = 'package.zip';

interface Store {
  readonly bytes: Buffer;
  readonly request: PackageRequest;
}

export async function prepareScenario(scenario: Scenario): Promise<PreparedScenario> {
  const store = scenario.package === undefined ? undefined : await storePackage(scenario.package);
  const before = await prepareDisk(scenario, store);
  const programs = scenario.programs.map((argv) => ({ argv }));
  const scriptFor = (disk: ModelDisk) => ({
    healthStatus: scenario.healthStatus,
    answersReports: scenario.answersReports,
    programs,
    isStubborn: scenario.isStubborn,
    keepPackage: scenario.keepPackage,
    download: store?.bytes,
    onStage: (how: string, stage: Stage) => disk.mark(`${how} ${stage}`),
    onProgram: (event: string, argv: readonly string[]) => disk.mark(`${event} ${argv.join(' ')}`),
  });
  const perform = (session: Session): Promise<void> => act(session, scenario, () => requestOf(store));

  const disk = modelDisk(before, codeSite);
  const session = await startSession(disk.files, scriptFor(disk));
  await perform(session);
  await session.stop();
  const { stage } = session.updater.progress();
  if (stage !== expectedStage(scenario))
    throw new Error(`${scenario.name}: undisturbed it ends as ${stage}\n${session.host.lines.join('\n')}`);
  const oldTree = treeOf(before, allowedRoot);
  const newTree = await treeAfterSuccess(scenario, before, disk.state(), async (healthy) => {
    const lucky = await startSession(healthy.files, { ...scriptFor(healthy), healthStatus: 0 });
    await perform(lucky);
    await lucky.stop();
  });

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
  return {
    scenario,
    before,
    oldTree,
    newTree,
    recording: disk.recording(),
    subject: async (restarted, marks) => {
      // A power cut ends device-api and the programs, too: the boot starts them again.
      const after = await startSession(restarted.files, {
        ...scriptFor(restarted),
        healthStatus: scenario.healthAfterRestart,
        answersReports: true,
      });
      await after.rest();
      await after.stop();
      return judge(restarted, after, marks);
    },
    killSubject: async (restarted, marks) => {
      const after = await startSession(restarted.files, {
        ...scriptFor(restarted),
        healthStatus: scenario.healthAfterRestart,
        answersReports: true,
        programs: runningAfter(programs, marks),
      });
      await after.rest();
      await after.stop();
      return judge(restarted, after, marks);
    },
    start: (started, files = started.files) => startSession(files, scriptFor(started)),
    act: perform,
    judge,
  };
}

function expectedStage(scenario: Scenario): Stage {
  if (scenario.act === 'download' || scenario.thenDownload) return 'toInstall';
  return scenario.ends === 'new' ? 'success' : 'failed';
}

/** Where the new set is a possible end: how it looks. Else the old tree once more. */
async function treeAfterSuccess(
  scenario: Scenario,
  before: ModelState,
  after: ModelState,
  succeed: (disk: ModelDisk) => Promise<void>,
): Promise<Tree> {
  switch (scenario.ends) {
    case 'old':
      return treeOf(before, allowedRoot);
    case 'new':
      return treeOf(after, allowedRoot);
    case 'oldUnlessCut': {
      const disk = modelDisk(before);
      await succeed(disk);
      return treeOf(disk.state(), allowedRoot);
    }
    default:
      return scenario.ends satisfies never;
  }
}

function runningAfter(
  programs: readonly { readonly argv: readonly string[] }[],
  marks: readonly string[],
): readonly { readonly argv: readonly string[] }[] {
  return programs.filter(({ argv }) => {
    const name = argv.join(' ');
    return (
      marks.findLast((mark) => mark === `ended ${name}` || mark === `started ${name}`) !== `ended ${name}`
    );
  });
}

/** What the world was told during the lives on this disk. */
export function marksOf(disk: ModelDisk): string[] {
  return disk.recording().steps.flatMap((step) => (step.kind === 'mark' ? [step.name] : []));
}

/** The device before: files, work directory, earlier updates; and the package waiting unless it is to be downloaded. */
async function prepareDisk(scenario: Scenario, store: Store | undefined): Promise<ModelState> {
  const disk = modelDisk(emptyModel(scenario.mounts));
  for (const directory of ['tmp', 'backups', 'logs'])
    await makePath(disk.files, posix.join(workDirectory, directory));
  await makePath(disk.files, allowedRoot);
  for (const [path, text] of Object.entries(scenario.files)) {
    await makePath(disk.files, posix.dirname(path));
    const file = await disk.files.open(path, 'create');
    await file.setMode(0o755);
    await file.write(Buffer.from(text), 0);
    await file.close();
  }
  for (const spec of scenario.earlier) {
    const earlier = await storePackage(spec);
    await life(disk, scenario, earlier, async (session) => {
      await session.updater.download(earlier.request);
      await expectStage(session, 'toInstall');
      await session.updater.update({ version: earlier.request.version, allow_downgrade: false });
      await expectStage(session, 'success');
    });
  }
  for (const [path, text] of Object.entries(scenario.damage)) {
    await disk.files.remove(path);
    if (text === null) continue;
    const file = await disk.files.open(path, 'create');
    await file.setMode(0o755);
    await file.write(Buffer.from(text), 0);
    await file.close();
  }
  if (store !== undefined && scenario.act === 'update') {
    await life(disk, scenario, store, async (session) => {
      await session.updater.download(store.request);
      await expectStage(session, 'toInstall');
    });
  }
  return disk.state();
}

async function life(
  disk: ModelDisk,
  scenario: Scenario,
  store: Store,
  action: (session: Session) => Promise<void>,
): Promise<void> {
  const session = await startSession(disk.files, {
    healthStatus: 0,
    answersReports: true,
    programs: scenario.programs.map((argv) => ({ argv })),
    isStubborn: false,
    keepPackage: scenario.keepPackage,
    download: store.bytes,
    onStage: () => undefined,
    onProgram: () => undefined,
  });
  await action(session);
  session.host.advance(60_000);
  await session.stop();
}

async function expectStage(session: Session, wanted: string): Promise<void> {
  const stage = await session.rest();
  if (stage !== wanted)
    throw new Error(
      `${wanted} expected, it is ${stage}: ${session.updater.progress().error}\n${session.host.lines.join('\n')}`,
    );
}

async function storePackage(spec: PackageSpec): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), 'powercut-'));
  try {
    const built = await buildPackage(spec, join(directory, packageName));
    const request = {
      version: spec.version,
      package_url: `http://127.0.0.1/${packageName}`,
      package_name: packageName,
      package_size: built.sizeBytes,
      package_md5: built.md5,
    };
    return { bytes: await readFile(built.path), request };
  } finally {
    await rm(directory, { recursive: true });
  }
}

function requestOf(store: Store | undefined): PackageRequest {
  if (store === undefined) throw new Error('the scenario has no package');
  return store.request;
}

async function makePath(files: Files, path: string): Promise<void> {
  if ((await files.stat(path)) !== undefined) return;
  await makePath(files, posix.dirname(path));
  await files.makeDirectory(path, 0o755);
}
