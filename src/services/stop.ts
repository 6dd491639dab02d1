/**
 * Stops one service, whatever it runs as by now.
 *
 * Invariant: when stopService returns, no process of the service's name is left.
 */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
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
  const { module, processName } = snapshot;
  for (const unit of unitsOf(snapshot)) await stopUnit(host, systemd, module, unit);
  if (processName === null) return;
  for (let round = 0; round < limits.stopRounds; round++) {
    const found = await findProcesses(host, processName);
    if (found.length === 0) return;
    const plain: RunningProcess[] = [];
    const units = new Set<string>();
    for (const process of found) {
      const unit = await systemd?.unitOf(process.pid);
      if (unit === undefined) plain.push(process);
      else units.add(unit);
    }
    for (const unit of units) await stopUnit(host, systemd, module, unit);
    for (const process of plain) host.log.info(`${module}: stopping ${title(process)}`);
    await terminate(host, plain, signal);
  }
  const [left] = await findProcesses(host, processName);
  if (left === undefined) return;
  throw new UpdateError(
    'PROCESS_KILL_FAILED',
    `${module}: ${title(left)} came back after ${limits.stopRounds} stops: something else keeps it running`,
  );
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
