/**
 * Systemd units through systemctl(1). A process that belongs to a unit is stopped and started here, never by signal:
 * systemd would revive it in the middle of a switch.
 *
 * Invariant: the updater's own unit is never touched; a process inside of it counts as a plain one.
 */
import { type ErrorCode, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { owningUnit, parseStatusOwner } from './proc-text.ts';

export type SystemdHost = Pick<Host, 'files' | 'processes'>;

/** Where systemd is; tests name a systemctl of their own. */
export interface SystemdPlaces {
  readonly systemctl: string;
  /** Exists exactly where systemd is pid 1 (sd_booted(3)). */
  readonly bootedDirectory: string;
}

const systemdPlaces: SystemdPlaces = { systemctl: 'systemctl', bootedDirectory: '/run/systemd/system' };

export interface Systemd {
  /** The manifest's unit name with its ending; undefined when it is the updater's own. */
  foreignUnit(name: string): string | undefined;
  /** The service unit a process belongs to; undefined for none and for the updater's own. */
  unitOf(pid: number): Promise<string | undefined>;
  /** Whether `uid` is the user of the unit's main process: what else runs in it (a job of cron's) is not the unit's own. */
  isOfUnit(unit: string, uid: number | undefined): Promise<boolean>;
  isActive(unit: string): Promise<boolean>;
  /** Returns when every process of the unit has ended. Throws PROCESS_KILL_FAILED with systemctl's words. */
  stop(unit: string): Promise<void>;
  /** Returns when the unit says it is up. Throws SERVICE_START_FAILED with systemctl's words. */
  start(unit: string): Promise<void>;
  /** Why a unit that was started does not run any more; undefined when it does, or was a one-shot that succeeded. */
  whyDead(unit: string): Promise<string | undefined>;
}

/** Systemd as it runs on this device, or undefined where it does not. */
export async function findSystemd(
  host: SystemdHost,
  places: SystemdPlaces = systemdPlaces,
): Promise<Systemd | undefined> {
  if ((await host.files.stat(places.bootedDirectory)) === undefined) return undefined;
  const ownUnit = owningUnit((await host.processes.read(host.processes.ownPid, 'cgroup')) ?? '');
  const systemctl = (code: ErrorCode, ...args: string[]) => run(host, code, [places.systemctl, ...args]);
  const show = async (unit: string) =>
    properties(await systemctl('SERVICE_START_FAILED', 'show', `--property=${shown}`, '--', unit));
  return {
    foreignUnit: (name) =>
      foreign(/\.(service|socket|target|timer|path)$/.test(name) ? name : `${name}.service`),
    unitOf: async (pid) => foreign(owningUnit((await host.processes.read(pid, 'cgroup')) ?? '')),
    isOfUnit: async (unit, uid) => {
      const mainPid = Number((await show(unit)).MainPID ?? 0);
      if (mainPid === 0) return true;
      const owner = parseStatusOwner((await host.processes.read(mainPid, 'status')) ?? '');
      return owner === undefined || owner.uid === uid;
    },
    isActive: async (unit) => isUp((await show(unit)).ActiveState),
    stop: async (unit) => {
      await systemctl('PROCESS_KILL_FAILED', 'stop', '--', unit);
    },
    start: async (unit) => {
      const before = await show(unit);
      // The update may have replaced the unit file itself.
      if (before.NeedDaemonReload === 'yes') await systemctl('SERVICE_START_FAILED', 'daemon-reload');
      // A new version that crashed a few times must not keep the old one from starting (StartLimitBurst).
      if (before.ActiveState === 'failed')
        await systemctl('SERVICE_START_FAILED', 'reset-failed', '--', unit);
      await systemctl('SERVICE_START_FAILED', 'start', '--', unit);
    },
    whyDead: async (unit) => whyDead(await show(unit)),
  };

  function foreign(unit: string | undefined): string | undefined {
    return unit === ownUnit ? undefined : unit;
  }
}

const shown =
  'MainPID,ActiveState,SubState,Type,Result,NRestarts,ExecMainCode,ExecMainStatus,NeedDaemonReload,LoadState';

async function run(host: SystemdHost, code: ErrorCode, argv: readonly string[]): Promise<string> {
  const command = argv.join(' ');
  try {
    const { status, stdout, stderr } = await host.processes.run(argv, limits.serviceCommandMs);
    if (status === 0) return stdout;
    throw new UpdateError(code, `${command}: exit status ${status}: ${stderr.trim() || 'no message'}`);
  } catch (thrown) {
    if (thrown instanceof UpdateError) throw thrown;
    const words = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UpdateError(code, `${command}: ${words}`, { cause: thrown });
  }
}

/** Lines `NAME=value` as `systemctl show` prints them. */
function properties(text: string): Record<string, string> {
  const pairs = text.split('\n').map((line): [string, string] => {
    const equals = line.indexOf('=');
    return [line.slice(0, Math.max(equals, 0)), line.slice(equals + 1)];
  });
  return Object.fromEntries(pairs);
}

function isUp(activeState: string | undefined): boolean {
  return activeState === 'active' || activeState === 'activating' || activeState === 'reloading';
}

function whyDead(unit: Record<string, string>): string | undefined {
  // A start by hand sets the count to 0: what is above it died and was revived since.
  const revivals = Number(unit.NRestarts ?? 0);
  const wasRevived = unit.SubState === 'auto-restart' || revivals > 0;
  if (isUp(unit.ActiveState) && !wasRevived) return undefined;
  if (unit.Type === 'oneshot' && unit.ActiveState === 'inactive' && unit.Result === 'success')
    return undefined;
  // CLD_EXITED is 1, CLD_KILLED 2, CLD_DUMPED 3 (systemd.service(5), waitid(2)).
  const how = { '1': 'exit status', '2': 'signal', '3': 'signal' }[unit.ExecMainCode ?? ''];
  return [
    `is ${unit.ActiveState} (${unit.SubState}), result ${unit.Result}`,
    ...(how === undefined ? [] : [`${how} ${unit.ExecMainStatus}`]),
    ...(revivals > 0 ? [`restarted by systemd ${revivals} times`] : []),
  ].join(', ');
}
