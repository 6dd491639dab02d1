/**
 * What one service runs as before it is stopped: units, or plain processes with all it takes to start them again.
 */

import { limits } from '../limits.ts';
import type { ServiceSpec } from '../release.ts';
import { type CaptureRoom, captureProcess } from './capture-process.ts';
import { ofOldestOwner, ownersOf } from './owner.ts';
import { commandName } from './proc-text.ts';
import { namedProcesses, type ProcessesHost, type RunningProcess, title } from './processes.ts';
import type { CapturedProcess, ServiceSnapshot } from './snapshot.ts';
import type { Systemd } from './systemd.ts';

/** Picks the service's own out of `running`, every process of the device at one moment. */
export async function captureService(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  running: readonly RunningProcess[],
  spec: ServiceSpec,
  room: CaptureRoom,
): Promise<ServiceSnapshot> {
  const processName = processNameOf(spec);
  const unit = spec.unit === undefined ? undefined : systemd?.foreignUnit(spec.unit);
  if (spec.unit !== undefined && unit === undefined) {
    host.log.warn(
      `${spec.module}: unit ${spec.unit} is not used: systemd does not run, or it is the updater's own`,
    );
  }
  const named = processName === undefined ? [] : await namedProcesses(host, running, processName);
  const owners = await ownersOf(host, named);
  const runningUnits = new Set(unit !== undefined && (await systemd?.isActive(unit)) ? [unit] : []);
  const plain: RunningProcess[] = [];
  for (const process of named) {
    const owner = await systemd?.unitOf(process.pid);
    if (owner === undefined) plain.push(process);
    else if (await systemd?.isOfUnit(owner, owners.get(process))) runningUnits.add(owner);
  }
  const ours = ofOldestOwner(plain, owners);
  for (const other of plain.filter((process) => !ours.includes(process)))
    host.log.warn(
      `${spec.module}: ${title(other)} has its name, but is another user's: stopped, not started again`,
    );
  // A worker comes back with the process that made it.
  const parents = ours.filter(({ parentPid }) => !ours.some(({ pid }) => pid === parentPid));
  const runningPlain: CapturedProcess[] = [];
  for (const process of parents.slice(0, limits.capturedProcesses)) {
    const captured = await captureProcess(host, process, room);
    if (captured !== undefined) runningPlain.push(captured);
  }
  if (parents.length > limits.capturedProcesses)
    host.log.warn(
      `${spec.module}: ${parents.length} processes run, ${limits.capturedProcesses} of them come back`,
    );
  return {
    module: spec.module,
    processName: processName ?? null,
    restartOrder: spec.restartOrder ?? null,
    unit: unit ?? null,
    start: spec.start === undefined ? null : [...spec.start],
    runningUnits: [...runningUnits],
    runningProcesses: runningPlain,
  };
}

/** What the processes of a service are found by; undefined where it has none of its own. */
export function processNameOf({ processName, start }: ServiceSpec): string | undefined {
  return processName ?? commandName(start ?? []);
}
