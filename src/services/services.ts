/**
 * Stops and starts the services of a transaction (spec sections 6 and 9, docs/services.md): captureServices before the stop,
 * stopServices before the switch, startServices after it, forward or back. What is stopped is looked for by name each time; a
 * service is started as a unit or as a process, once, however many modules it has.
 */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { ServiceSpec } from '../release.ts';
import { captureService } from './capture.ts';
import { checkHealth } from './health.ts';
import { hasProcess, oneServices, processNameOf } from './one-service.ts';
import { runningProcesses, type ServicesHost } from './processes.ts';
import { modulesOf, type ServiceSnapshot, type WhichSet, wasEnabled } from './snapshot.ts';
import { type Launched, launch, type Start, startsOf } from './start.ts';
import { stopService } from './stop.ts';
import { findSystemd, type Systemd, type SystemdPlaces } from './systemd.ts';
import { assertStaysUp, endMisnamed, endSecondCopies, misnamed, misnomer, watch } from './watch.ts';

export interface ServicesOptions {
  /** Ends a wait early; the call rejects with its reason. */
  readonly signal?: AbortSignal;
  readonly systemd?: SystemdPlaces;
}

export interface CaptureOptions extends ServicesOptions {
  /** Specs of the set that is there now, of modules whose services the transaction has to do with. */
  readonly before?: readonly ServiceSpec[];
  /** What earlier updates captured, newest first: whose process a service was. */
  readonly known?: readonly ServiceSnapshot[];
  /** Of a rollback: how the services ran when the target set was the one that ran. */
  readonly earlier?: readonly ServiceSnapshot[];
}

/** What runs now of each service of the target set, with all it takes to start it again. SERVICE_START_FAILED where that could not be done. */
export async function captureServices(
  host: ServicesHost,
  target: readonly ServiceSpec[],
  options: CaptureOptions = {},
): Promise<ServiceSnapshot[]> {
  const { before = [], known = [], earlier = [] } = options;
  const systemd = await findSystemd(host, options.systemd);
  // Reading all of /proc takes some 100 ms, which an update without processes does not owe.
  const anyNamed = [...target, ...before].some((spec) => processNameOf(spec) !== undefined);
  const running = anyNamed ? await runningProcesses(host) : [];
  const room = { leftBytes: limits.capturedBytes };
  const snapshots: ServiceSnapshot[] = [];
  for (const service of oneServices(target, before).filter(hasProcess))
    snapshots.push(await captureService({ host, systemd, running, known, earlier, room }, service));
  return withoutManaged(snapshots);
}

/** A unit that is a service of the update itself is stopped and started as such, not as what hangs on another. */
function withoutManaged(snapshots: readonly ServiceSnapshot[]): ServiceSnapshot[] {
  const managed = new Set(snapshots.flatMap(({ units }) => units.map(({ unit }) => unit)));
  const others = (names: readonly string[]) => names.filter((name) => !managed.has(name));
  return snapshots.map((snapshot) => ({
    ...snapshot,
    units: snapshot.units.map((unit) => ({
      ...unit,
      triggers: others(unit.triggers),
      dependents: others(unit.dependents),
    })),
  }));
}

/**
 * Stops whatever runs of each service, in reverse restart order, those of one order together. PROCESS_KILL_FAILED when something
 * cannot be stopped or comes back; the others are stopped even so. `towards`: units that this set does not enable are disabled
 * now.
 */
export async function stopServices(
  host: ServicesHost,
  snapshots: readonly ServiceSnapshot[],
  options: ServicesOptions & { readonly towards?: WhichSet } = {},
): Promise<void> {
  const { signal, towards = 'target' } = options;
  const systemd = await findSystemd(host, options.systemd);
  for (const group of inRestartOrder(snapshots).reverse()) {
    await together(group.map((snapshot) => stopService(host, systemd, snapshot, signal)));
  }
  for (const snapshot of snapshots) await setEnabled(host, systemd, snapshot, towards, false);
}

/**
 * Starts the services in restart order, the next when the one before is ready; returns when all have stayed up for
 * `limits.serviceSettleMs`. `target`: what the target set says; `captured`: what ran before. SERVICE_START_FAILED with how the
 * first ended, and its last words.
 */
export async function startServices(
  host: ServicesHost,
  snapshots: readonly ServiceSnapshot[],
  set: WhichSet,
  options: ServicesOptions & {
    /** Specs whose health check tells that their service is ready. */
    readonly ready?: readonly ServiceSpec[];
    /** Where the output goes of plain programs that had none that can be had again. */
    readonly outputDirectory?: string | undefined;
    /** The set is a new one: a name by which nothing finds what was started is a failure, not a warning. */
    readonly isNew?: boolean;
  } = {},
): Promise<void> {
  const { signal, ready = [], outputDirectory, isNew = false } = options;
  const systemd = await findSystemd(host, options.systemd);
  const launched: Launched[] = [];
  const late: Start[] = [];
  const failures: unknown[] = [];
  // On the way back nothing is left down because of another: the first failure is thrown when all have been started.
  const fail = (thrown: unknown) => {
    if (set === 'target') throw thrown;
    failures.push(thrown);
  };
  const launchAll = async (starts: readonly Start[]): Promise<Launched[]> => {
    const results = await Promise.allSettled(
      starts.map((start) => launch(host, systemd, start, outputDirectory)),
    );
    for (const result of results) if (result.status === 'rejected') fail(result.reason);
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  };
  for (const snapshot of snapshots) await setEnabled(host, systemd, snapshot, set, true);
  const groups = inRestartOrder(snapshots);
  for (const [index, group] of groups.entries()) {
    const starts = (await Promise.all(group.map((each) => startsOf(host, systemd, each, set)))).flat();
    late.push(...starts.filter((start) => whenOf(start) === 'last'));
    const started: Launched[] = [];
    for (const when of ['first', 'then'] as const)
      started.push(...(await launchAll(starts.filter((start) => whenOf(start) === when))));
    launched.push(...started);
    if (index === groups.length - 1) continue;
    await untilReady(host, systemd, group, started, { signal, ready }).catch((thrown: unknown) => {
      // An updater that is to stop waits for nothing, but leaves nothing down.
      if (signal?.aborted !== true) fail(thrown);
    });
  }
  for (const start of late) launched.push(...(await launchAll([start])));
  if (set === 'captured') await endSecondCopies(host, launched, signal);
  await assertStaysUp(host, systemd, launched, signal);
  // A new set's programs are looked for by the names it says, not by those that the set before had.
  const wanted = ({ module, names }: { readonly module: string; readonly names: readonly string[] }) =>
    (isNew ? namesSaid(snapshots, ready, module) : undefined) ?? names;
  const nameless = await misnamed(host, launched, wanted, signal);
  const texts = nameless.map((service) => misnomer(service, wanted(service)));
  if (isNew) {
    for (const service of nameless) await endMisnamed(host, service, signal);
    if (texts[0] !== undefined) throw new UpdateError('SERVICE_START_FAILED', texts[0]);
  }
  for (const text of texts) host.log.warn(text);
  if (failures.length > 0) throw failures[0];
}

/** What the specs of the service that has this module say its processes are found by; undefined: nothing. */
function namesSaid(
  snapshots: readonly ServiceSnapshot[],
  specs: readonly ServiceSpec[],
  module: string,
): string[] | undefined {
  const service = snapshots.find((snapshot) => snapshot.module === module);
  const modules = service === undefined ? [module] : modulesOf(service);
  const names = specs
    .filter((spec) => modules.includes(spec.module))
    .flatMap((spec) => processNameOf(spec) ?? []);
  return names.length === 0 ? undefined : [...new Set(names)];
}

const whenOf = (start: Start) => (start.kind === 'unit' ? start.when : 'then');

/** Healthy where the manifest says how to ask; up as systemd sees it where the unit tells; else alive for a moment. */
async function untilReady(
  host: ServicesHost,
  systemd: Systemd | undefined,
  group: readonly ServiceSnapshot[],
  started: readonly Launched[],
  { signal, ready }: { readonly signal: AbortSignal | undefined; readonly ready: readonly ServiceSpec[] },
): Promise<void> {
  const modules = group.flatMap(modulesOf);
  const asked = ready.filter(({ module, health }) => health !== undefined && modules.includes(module));
  const silent: Launched[] = [];
  for (const one of started) {
    if (asked.some(({ module }) => module === one.module)) continue;
    const type = one.kind === 'unit' ? (await systemd?.show(one.unit))?.Type : 'simple';
    if (type === 'simple' || type === 'exec' || type === 'idle') silent.push(one);
  }
  await checkHealth(host, asked, signal);
  if (silent.length > 0) await watch(host, silent, limits.serviceReadyMs, signal);
}

/** Enables what the set says, or what was enabled when it was captured; or disables what the other of the two enables alone. */
async function setEnabled(
  host: ServicesHost,
  systemd: Systemd | undefined,
  snapshot: ServiceSnapshot,
  set: WhichSet,
  isEnabled: boolean,
): Promise<void> {
  const { module, enables, enablesAgain, disables } = snapshot;
  const named = isEnabled === (set === 'target') ? [...enables, ...enablesAgain] : disables;
  const units = named.filter((unit) => set === 'target' || wasEnabled(snapshot, unit) === isEnabled);
  for (const unit of units) {
    if (systemd === undefined || ((await systemd.show(unit)).UnitFileState === 'enabled') === isEnabled)
      continue;
    host.log.info(`${module}: ${isEnabled ? 'enabling' : 'disabling'} unit ${unit}`);
    await systemd.setEnabled(unit, isEnabled);
  }
}

/** The snapshots by restart order, ascending, those without one last. */
function inRestartOrder(snapshots: readonly ServiceSnapshot[]): ServiceSnapshot[][] {
  const groups = new Map<number, ServiceSnapshot[]>();
  for (const snapshot of snapshots) {
    const order = snapshot.restartOrder ?? Number.POSITIVE_INFINITY;
    groups.set(order, [...(groups.get(order) ?? []), snapshot]);
  }
  return [...groups].sort(([a], [b]) => (a === b ? 0 : a - b)).map(([, group]) => group);
}

/** Waits for all, also when one fails: what follows a failure must not overlap with the rest of the work. */
async function together<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}
