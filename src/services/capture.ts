/**
 * What one service runs as before it is stopped: units, or plain processes with all it takes to start them again.
 */
import type { ServiceSpec } from '../release.ts';
import { commandName, isNamed } from './proc-text.ts';
import { captureProcess, type ProcessesHost, type RunningProcess } from './processes.ts';
import type { CapturedProcess, ServiceSnapshot } from './snapshot.ts';
import type { Systemd } from './systemd.ts';

/** Picks the service's own out of `running`, every process of the device at one moment. */
export async function captureService(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  running: readonly RunningProcess[],
  spec: ServiceSpec,
): Promise<ServiceSnapshot> {
  const processName = processNameOf(spec);
  const unit = spec.unit === undefined ? undefined : systemd?.foreignUnit(spec.unit);
  if (spec.unit !== undefined && unit === undefined) {
    host.log.warn(
      `${spec.module}: unit ${spec.unit} is not used: systemd does not run, or it is the updater's own`,
    );
  }
  const named = running.filter((process) => processName !== undefined && isNamed(process, processName));
  const runningUnits = new Set(unit !== undefined && (await systemd?.isActive(unit)) ? [unit] : []);
  const runningPlain: CapturedProcess[] = [];
  for (const process of named) {
    const owner = await systemd?.unitOf(process.pid);
    if (owner !== undefined) runningUnits.add(owner);
    // A worker comes back with the process that made it.
    else if (!named.some((other) => other.pid === process.parentPid)) {
      const captured = await captureProcess(host, process);
      if (captured !== undefined) runningPlain.push(captured);
    }
  }
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
