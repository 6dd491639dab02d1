/**
 * Stops one service, whatever it runs as by now.
 *
 * Invariant: when stopService returns, no process of the service's name and user is left.
 */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { ownersOf } from './owner.ts';
import { parseStatusOwner } from './proc-text.ts';
import { findProcesses, type ProcessesHost, type RunningProcess, terminate, title } from './processes.ts';
import type { ServiceSnapshot } from './snapshot.ts';
import type { Systemd } from './systemd.ts';

/**
 * Stops the units through systemctl and ends the plain processes; looks again after each round, since a supervisor or
 * an updater that is gone may have started more. Throws PROCESS_KILL_FAILED.
 */
export async function stopService(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  snapshot: ServiceSnapshot,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { module, processName, runningProcesses } = snapshot;
  for (const unit of unitsOf(snapshot)) await stopUnit(host, systemd, module, unit);
  if (processName === null) return;
  const uid = runningProcesses[0]?.uid ?? (await ownUid(host));
  let left: RunningProcess[] = [];
  for (let round = 0; round < limits.stopRounds; round++) {
    const found = await findProcesses(host, processName);
    const owners = await ownersOf(host, found);
    const plain: RunningProcess[] = [];
    const units = new Set<string>();
    for (const process of found) {
      const unit = await systemd?.unitOf(process.pid);
      if (unit !== undefined && (await systemd?.isOfUnit(unit, owners.get(process)))) units.add(unit);
      else plain.push(process);
    }
    const [ours, namesakes] = divide(plain, (process) => owners.get(process) === uid);
    left = ours;
    for (const unit of units) await stopUnit(host, systemd, module, unit);
    for (const process of plain) host.log.info(`${module}: stopping ${title(process)}`);
    await dismiss(host, namesakes);
    await terminate(host, ours, signal);
    if (units.size === 0 && ours.length === 0) return;
  }
  const [comesBack] = left;
  if (comesBack === undefined) return;
  throw new UpdateError(
    'PROCESS_KILL_FAILED',
    `${module}: ${title(comesBack)} came back after ${limits.stopRounds} stops: something else keeps it running`,
  );
}

/** Whoever made namesakes cannot hold an update up: they have little time, and one that stays or comes back is only told. */
async function dismiss(host: ProcessesHost, namesakes: readonly RunningProcess[]): Promise<void> {
  try {
    await terminate(host, namesakes, undefined, limits.namesakeTermMs);
  } catch (thrown) {
    host.log.warn(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

async function ownUid({ processes }: ProcessesHost): Promise<number | undefined> {
  return parseStatusOwner((await processes.read(processes.ownPid, 'status')) ?? '')?.uid;
}

function divide<T>(all: readonly T[], isFirst: (each: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((each) => !isFirst(each))];
}

async function stopUnit(host: ProcessesHost, systemd: Systemd | undefined, module: string, unit: string) {
  if (systemd === undefined || !(await systemd.isActive(unit))) return;
  host.log.info(`${module}: stopping unit ${unit}`);
  await systemd.stop(unit);
}

function unitsOf(snapshot: ServiceSnapshot): string[] {
  const named = snapshot.unit === null ? [] : [snapshot.unit];
  return [...new Set([...named, ...snapshot.runningUnits])];
}
