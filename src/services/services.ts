/**
 * Stops and starts the services of an update (spec section 6, FR-012..FR-014): captureServices before anything is
 * stopped, stopServices before the switch, startServices after it, whether it went forward or back.
 *
 * Invariants: what is stopped is looked for by name each time, so processes that appeared since the capture, or were
 * started by an updater that is gone, are caught too. A service is started as a unit or as a plain process, never both.
 */
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { ServiceSpec } from '../release.ts';
import { captureService, processNameOf } from './capture.ts';
import { runningProcesses } from './processes.ts';
import type { ServiceSnapshot } from './snapshot.ts';
import { assertStaysUp, type Launched, launch, startsOf } from './start.ts';
import { stopService } from './stop.ts';
import { findSystemd, type SystemdPlaces } from './systemd.ts';

export type ServicesHost = Pick<Host, 'files' | 'processes' | 'clock' | 'log'>;

export interface ServicesOptions {
  /** Ends a wait early; the call rejects with its reason. */
  readonly signal?: AbortSignal;
  readonly systemd?: SystemdPlaces;
}

/** What runs now of each service: its units, or its processes with all it takes to start them again. */
export async function captureServices(
  host: ServicesHost,
  specs: readonly ServiceSpec[],
  options: ServicesOptions = {},
): Promise<ServiceSnapshot[]> {
  const systemd = await findSystemd(host, options.systemd);
  // Reading all of /proc takes some 100 ms, which an update without processes does not owe.
  const running = specs.some((spec) => processNameOf(spec) !== undefined) ? await runningProcesses(host) : [];
  const snapshots: ServiceSnapshot[] = [];
  const room = { leftBytes: limits.capturedBytes };
  for (const spec of specs) snapshots.push(await captureService(host, systemd, running, spec, room));
  return snapshots;
}

/**
 * Stops whatever runs now of each service, in reverse restart order, those of one order together. Throws
 * PROCESS_KILL_FAILED when something cannot be stopped or comes back; the others of its order are stopped even so.
 */
export async function stopServices(
  host: ServicesHost,
  snapshots: readonly ServiceSnapshot[],
  options: ServicesOptions = {},
): Promise<void> {
  const systemd = await findSystemd(host, options.systemd);
  for (const group of inRestartOrder(snapshots).reverse()) {
    await together(group.map((snapshot) => stopService(host, systemd, snapshot, options.signal)));
  }
}

/**
 * Starts the services in restart order, those of one order together, and returns when all have stayed up for
 * `limits.serviceSettleMs`. `new`: the manifest's unit, else the units it ran in, else the manifest's `start` (as the
 * user and in the environment it ran in before, if it ran), else the processes as captured. `old`: exactly what was
 * captured. Throws SERVICE_START_FAILED with the exit status or signal of the first that does not start or stay up.
 */
export async function startServices(
  host: ServicesHost,
  snapshots: readonly ServiceSnapshot[],
  which: 'new' | 'old',
  options: ServicesOptions = {},
): Promise<void> {
  const systemd = await findSystemd(host, options.systemd);
  const launched: Launched[] = [];
  for (const group of inRestartOrder(snapshots)) {
    const starts = (await Promise.all(group.map((snapshot) => startsOf(host, snapshot, which)))).flat();
    launched.push(...(await together(starts.map((start) => launch(host, systemd, start)))));
  }
  await assertStaysUp(host, systemd, launched, options.signal);
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
