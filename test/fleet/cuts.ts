/**
 * Power cuts while an order of the fleet is carried out: at each step that changes the disk (fleet.json, state.json, the
 * journal, the files) or the server, every disk that could be left is started again, and at the end the server has heard
 * exactly one end, and it is true.
 *
 * The product's own updater and fleet client run on the model disk of test/powercut, against the scripted server as a
 * value: what a cut leaves of it is what it was when the last request had been carried out, its answer heard or not.
 */
import { createFleet } from '../../src/fleet/client.ts';
import type { Host, HttpResponse, Net } from '../../src/host/host.ts';
import type { FleetState } from '../../src/updater/fleet-state.ts';
import { createUpdater } from '../../src/updater/runner.ts';
import { type Assignment, type DdiState, ddiModel, hawkbit11 } from '../fixtures/ddi-model.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { plainSettings } from '../fixtures/plain-settings.ts';
import { type Exploration, explore, type Failure } from '../powercut/exploration.ts';
import { type ModelDisk, modelDisk } from '../powercut/model-disk.ts';
import type { ModelState } from '../powercut/model-state.ts';
import { difference, type Tree, treeOf } from '../powercut/model-tree.ts';
import { prepareDisk, storePackage } from '../powercut/prepare-disk.ts';
import { api, threeModules } from '../powercut/scenario-packages.ts';
import { scenarios } from '../powercut/scenarios.ts';
import { scriptedHost } from '../powercut/scripted-host.ts';
import { allowedRoot, workDirectory } from '../powercut/session.ts';
import { systemError } from '../powercut/system-error.ts';

export interface FleetScenario {
  readonly name: string;
  readonly assignment: Partial<Assignment>;
  readonly package: PackageSpec;
  readonly healthStatus: number;
  readonly healthAfterRestart: number;
  /** The operator cancels when this has been told for the first time. */
  readonly cancelAt: string | undefined;
  /** The answer to the n-th POST is lost, from 1. */
  readonly loses: number | undefined;
}

const usual: Omit<FleetScenario, 'name'> = {
  assignment: {},
  package: threeModules('1.1.0'),
  healthStatus: 0,
  healthAfterRestart: 0,
  cancelAt: undefined,
  loses: undefined,
};

export const fleetScenarios: readonly FleetScenario[] = [
  { ...usual, name: 'forced' },
  { ...usual, name: 'failing health', healthStatus: 1, healthAfterRestart: 1 },
  { ...usual, name: 'failing health that is good after a restart', healthStatus: 1 },
  { ...usual, name: 'to download alone', assignment: { type: 'downloadonly' } },
  { ...usual, name: 'cancelled while downloading', cancelAt: 'download/none' },
  { ...usual, name: 'cancelled while it waits', cancelAt: 'downloaded/none' },
  { ...usual, name: 'cancelled while installing', cancelAt: 'proceeding/none' },
  {
    ...usual,
    name: 'with a restart of the machine',
    package: { ...threeModules('1.1.0'), manifest: { reboot: true } },
  },
  ...[1, 2, 3, 4].map((loses) => ({ ...usual, name: `answer ${loses} lost`, loses })),
];

export interface CutResult extends Exploration {
  readonly steps: number;
}

export interface Depth {
  readonly exhaustiveUpTo: number;
  /** Only every n-th state is started again. */
  readonly every: number;
  /** A second cut inside the recovery of every n-th of these; 0: none. */
  readonly nestedEvery: number;
}

export async function cutEverywhere(
  scenario: FleetScenario,
  { exhaustiveUpTo, every, nestedEvery }: Depth,
): Promise<CutResult> {
  const base = scenarios.find(({ act }) => act === 'download');
  if (base === undefined) throw new Error('no scenario to begin with');
  const store = await storePackage(scenario.package);
  const { before } = await prepareDisk({ ...base, package: scenario.package }, store);
  const world = createWorld(scenario, store.bytes);
  const oldTree = treeOf(before, allowedRoot);

  const disk = modelDisk(before);
  await liveUntilToldAll(disk, world, []);
  const newTree =
    scenario.healthStatus === 0 && scenario.cancelAt === undefined && scenario.assignment.type === undefined
      ? treeOf(disk.state(), allowedRoot)
      : await treeOfSuccess(before, store.bytes);
  const wrongFirst = wrongEnd(world.latest(marksOf(disk)), disk.state(), oldTree, newTree);
  if (wrongFirst !== undefined) throw new Error(`${scenario.name}, undisturbed: ${wrongFirst}`);

  const recording = disk.recording();
  const known = new Set<string>();
  const failures: Failure[] = [];
  let [seen, states, nestedStates] = [0, 0, 0];
  for (const metadata of ['weak', 'ordered'] as const) {
    const options = { exhaustiveUpTo, samples: 0, seed: 1, metadata, known };
    const found = await explore(
      recording,
      async (restarted, marks) => {
        if (seen++ % every !== 0) return undefined;
        states += 1;
        await liveUntilToldAll(restarted, world, marks);
        return wrongEnd(world.latest([...marks, ...marksOf(restarted)]), restarted.state(), oldTree, newTree);
      },
      {
        cut: options,
        nestedEvery,
        nestedCut: { ...options, exhaustiveUpTo: 1, known: new Set() },
        failuresWanted: 3,
      },
    );
    nestedStates += found.nestedStates;
    failures.push(...found.failures);
  }
  return { steps: recording.steps.length, states, nestedStates, failures };
}

/** The server through time: what it was after each request that it has carried out, by the mark on the disk's log. */
interface World {
  readonly scenario: FleetScenario;
  readonly bytes: Buffer;
  latest(marks: readonly string[]): DdiState;
  /** Remembers a state; its mark. */
  keep(state: DdiState): string;
}

function createWorld(scenario: FleetScenario, bytes: Buffer): World {
  const first = serverOf(bytes);
  first.assign({
    modules: [{ name: 'printer', version: scenario.package.version, files: ['package.zip'] }],
    ...scenario.assignment,
  });
  const states: DdiState[] = [structuredClone(first.state)];
  return {
    scenario,
    bytes,
    latest: (marks) =>
      structuredClone(
        states[Number(marks.findLast((mark) => mark.startsWith('ddi '))?.slice(4) ?? 0)] ?? first.state,
      ),
    keep: (state) => `ddi ${states.push(structuredClone(state)) - 1}`,
  };
}

function serverOf(bytes: Buffer, state?: DdiState) {
  const files = new Map([['package.zip', new Uint8Array(bytes)]]);
  const options = {
    flavour: hawkbit11,
    device: 'dev',
    tenant: 'DEFAULT',
    authorization: undefined,
    linkBase: () => 'https://fleet.example',
    files,
  };
  const ddi = ddiModel(options, state);
  ddi.sleep = '00:01:00';
  return ddi;
}

/** Lives of the daemon, one after the other where the machine restarts, until nothing is owed to the server. */
async function liveUntilToldAll(disk: ModelDisk, world: World, marks: readonly string[]): Promise<void> {
  for (let boot = 0; boot < 4; boot++) {
    const told = [...marks, ...marksOf(disk)];
    disk.mark('start');
    if ((await live(disk, world, told)) === 'done') return;
  }
  throw new Error('the machine is restarted again and again');
}

async function live(disk: ModelDisk, world: World, marks: readonly string[]): Promise<'done' | 'rebooting'> {
  const { scenario } = world;
  const isFirst = !marks.includes('start');
  let isRebooting = false;
  const scripted = scriptedHost(disk.files, {
    bootId: `boot-${marks.filter((mark) => mark === 'start').length}`,
    bornMs: 1000 * marks.length,
    healthStatus: isFirst ? scenario.healthStatus : scenario.healthAfterRestart,
    answersReports: true,
    programs: [{ argv: [api] }],
    stubborn: [],
    onProgram: () => undefined,
    download: undefined,
    breaksAfterBytes: undefined,
    onAsked: () => undefined,
    onReboot: () => {
      isRebooting = true;
    },
    onReport: () => undefined,
    onCommand: () => undefined,
  });
  const ddi = serverOf(world.bytes, world.latest(marks));
  let isStopped = false;
  const net = netOf(world, ddi, disk, isFirst, () => isStopped);
  // A wait of minutes is none here: the scripted clock takes it for the end of the boot.
  const clock = {
    ...scripted.clock,
    sleep: (ms: number, signal?: AbortSignal) => scripted.clock.sleep(Math.min(ms, 60_000), signal),
  };
  const host: Host = { ...scripted, net };
  const settings = {
    ...plainSettings(workDirectory, allowedRoot),
    ownPaths: [],
    guiPath: '/opt/tope/ota-gui',
    networkWaitMs: 0,
  };
  const options = {
    ...{
      url: 'https://fleet.example',
      tenant: 'DEFAULT',
      id: 'dev',
      tokenFile: undefined,
      tokenKind: 'target' as const,
      attributes: {},
    },
    ...{
      asksConsent: false,
      confirms: false,
      setName: undefined,
      updaterVersion: 'test',
      deviceType: undefined,
      workDirectory,
    },
  } as const;
  const fleet = await createFleet(
    { ...host, clock },
    options,
    () => updater,
    () => 0,
  );
  const updater = createUpdater(host, { ...settings, authorizationFor: fleet.authorizationFor }, [
    fleet.listener,
  ]);
  await updater.recover();
  fleet.begin();

  const isDone = (state: FleetState) => {
    const { stage } = updater.progress();
    const rests =
      ['idle', 'success', 'failed'].includes(stage) || (stage === 'toInstall' && state.order === null);
    const isOpen = ddi.state.actions.some((action) =>
      ['running', 'canceling', 'confirm'].includes(action.state),
    );
    return rests && state.order === null && state.owed === null && !isOpen;
  };
  const deadline = performance.now() + 10_000;
  while (!isRebooting && !isDone(fleet.state())) {
    if (performance.now() > deadline)
      throw new Error(
        `never done: ${JSON.stringify(fleet.state())} ${JSON.stringify(ddi.state.actions)} ${updater.progress().stage}\n${scripted.lines.join('\n')}`,
      );
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (!isRebooting) await updater.settled();
  await fleet.stop();
  await updater.stop();
  isStopped = true;
  scripted.stop();
  return isRebooting ? 'rebooting' : 'done';
}

function netOf(
  world: World,
  ddi: ReturnType<typeof serverOf>,
  disk: ModelDisk,
  isFirst: boolean,
  stopped: () => boolean,
): Net {
  const { scenario } = world;
  let posts = 0;
  return {
    connect: async () => undefined,
    request: async ({ method, url, headers, body = '' }): Promise<HttpResponse> => {
      const { hostname, pathname, search } = new URL(url);
      if (stopped() || hostname !== 'fleet.example') throw systemError('ECONNREFUSED', 'connect', hostname);
      const before = JSON.stringify(ddi.state);
      const reply = ddi.handle({ method, path: pathname + search, headers, body });
      const [action] = ddi.state.actions;
      if (
        scenario.cancelAt !== undefined &&
        action?.told.at(-1) === scenario.cancelAt &&
        !action.told.some((told) => told.startsWith('cancel'))
      )
        ddi.cancel(action.id);
      if (JSON.stringify(ddi.state) !== before) disk.mark(world.keep(ddi.state));
      if (method === 'POST' && ++posts === scenario.loses && isFirst)
        throw systemError('ECONNRESET', 'read', hostname);
      const bytes = Buffer.from(reply.body);
      return {
        status: reply.status,
        headers: { ...reply.headers, 'content-length': `${bytes.length}` },
        body: chunks(bytes),
        discard: () => undefined,
      };
    },
  };
}

async function* chunks(content: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += 4096) yield content.subarray(at, at + 4096);
}

/** The set as an order that succeeds leaves it. */
async function treeOfSuccess(before: ModelState, bytes: Buffer): Promise<Tree> {
  const disk = modelDisk(before);
  await liveUntilToldAll(disk, createWorld({ ...usual, name: 'lucky' }, bytes), []);
  return treeOf(disk.state(), allowedRoot);
}

function marksOf(disk: ModelDisk): string[] {
  return disk.recording().steps.flatMap((step) => (step.kind === 'mark' ? [step.name] : []));
}

/** Exactly one end was accepted, and it says what stands on the disk. */
function wrongEnd(
  { actions }: DdiState,
  state: ModelState,
  oldTree: Tree,
  newTree: Tree,
): string | undefined {
  const tree = treeOf(state, allowedRoot);
  const fromOld = difference(oldTree, tree);
  const fromNew = difference(newTree, tree);
  if (fromOld.length > 0 && fromNew.length > 0)
    return `neither old nor new: ${fromOld.join(', ')}; ${fromNew.join(', ')}`;
  const isNew = fromNew.length === 0;
  const [action] = actions;
  if (action === undefined) return 'the order is gone';
  const ends = action.told.filter(
    (told) =>
      /^(closed|cancel:closed)\//.test(told) ||
      (told === 'downloaded/none' && action.type === 'downloadonly'),
  );
  if (ends.length !== 1) return `${ends.length} ends accepted: ${action.told.join(', ')}`;
  if (action.told.includes('retrieved'))
    return 'an ended order was looked at again, which takes its end back';
  const [end = ''] = ends;
  const says = end === 'closed/success';
  return says === isNew
    ? undefined
    : `the server was told ${end}, the set is ${isNew ? 'new' : 'old'}: ${action.details.join('; ')}`;
}
