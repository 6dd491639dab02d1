/** Stops one service, whatever it runs as by now: no process of its name and user is left then, nor one of that user that these had started. */
import { errorText, UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { ownersOf, ownUid } from './owner.ts';
import {
  descendantsOf,
  isUpdater,
  namedAmong,
  type ProcessesHost,
  type RunningProcess,
  runningProcesses,
  stillAlive,
  terminate,
  title,
} from './processes.ts';
import { namesOf, type ServiceSnapshot, unitsOfTarget } from './snapshot.ts';
import type { Systemd } from './systemd.ts';

/** Stops the units, triggers first, and ends the processes; looks again, as something may have started more. Throws PROCESS_KILL_FAILED. */
export async function stopService(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  snapshot: ServiceSnapshot,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { module, lastRan } = snapshot;
  await stopUnits(host, systemd, snapshot);
  const names = namesOf(snapshot);
  if (names.length === 0) return;
  const [ran] = [...snapshot.runningProcesses, ...lastRan];
  const uid = ran?.uid ?? (await ownUid(host));
  let left: RunningProcess[] = [];
  for (let round = 0; round < limits.stopRounds; round++) {
    const running = await runningProcesses(host);
    const found = await namedAmong(host, running, names);
    const owners = await ownersOf(host, found);
    const plain: RunningProcess[] = [];
    const units = new Set<string>();
    for (const process of found) {
      const unit = await systemd?.unitOf(process.pid);
      if (unit !== undefined && (await systemd?.isOfUnit(unit, owners.get(process)))) units.add(unit);
      else plain.push(process);
    }
    const ours = plain.filter((process) => owners.get(process) === uid);
    left = ours;
    for (const unit of units) await stopAll(host, systemd, module, [unit]);
    for (const process of plain) host.log.info(`${module}: stopping ${title(process)}`);
    const namesakes = plain.filter((process) => !ours.includes(process));
    await dismiss(host, namesakes);
    await terminate(host, ours, signal);
    await endWhatIsLeft(host, module, descendantsOf(running, ours), uid);
    if (units.size === 0 && ours.length === 0) return;
  }
  const [comesBack] = left;
  if (comesBack === undefined) return;
  throw new UpdateError(
    'PROCESS_KILL_FAILED',
    `${module}: ${title(comesBack)} came back after ${limits.stopRounds} stops: something else keeps it running`,
  );
}

/** What triggers a unit goes first: a client would start the program in the middle of the switch. */
async function stopUnits(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  snapshot: ServiceSnapshot,
): Promise<void> {
  const { module, units } = snapshot;
  if (units.length === 0) {
    // A journal of 0.1.0 knows their names only.
    await stopAll(host, systemd, module, [...unitsOfTarget(snapshot), ...snapshot.runningUnits]);
    return;
  }
  await stopAll(
    host,
    systemd,
    module,
    units.flatMap(({ triggers }) => triggers),
  );
  await stopAll(
    host,
    systemd,
    module,
    units.flatMap(({ unit, dependents }) => [...dependents, unit]),
  );
}

async function stopAll(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  module: string,
  units: readonly string[],
): Promise<void> {
  const alive: string[] = [];
  for (const unit of new Set(units)) {
    const { ActiveState: state } = (await systemd?.show(unit)) ?? {};
    if (state !== 'inactive' && state !== 'failed') alive.push(unit);
  }
  if (systemd === undefined || alive.length === 0) return;
  host.log.info(`${module}: stopping ${alive.length > 1 ? 'units' : 'unit'} ${alive.join(', ')}`);
  await systemd.stop(alive);
}

/** A program that a wrapper had started would go on beside the next one, with its port, and answer for it. */
async function endWhatIsLeft(
  host: ProcessesHost,
  module: string,
  started: readonly RunningProcess[],
  uid: number | undefined,
): Promise<void> {
  const alive = (await stillAlive(host, started)).filter((process) => !isUpdater(process));
  if (alive.length === 0) return;
  const owners = await ownersOf(host, alive);
  const left = alive.filter((process) => owners.get(process) === uid);
  for (const process of left)
    host.log.warn(`${module}: ${title(process)} was left by what was stopped: stopping it, too`);
  await dismiss(host, left);
}

/** Whoever made namesakes cannot hold an update up: they have little time, and one that stays or comes back is only told. */
async function dismiss(host: ProcessesHost, namesakes: readonly RunningProcess[]): Promise<void> {
  try {
    await terminate(host, namesakes, undefined, limits.namesakeTermMs);
  } catch (thrown) {
    host.log.warn(errorText(thrown));
  }
}
