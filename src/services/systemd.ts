/**
 * Systemd units through systemctl(1), which alone stops and starts their processes: after a signal systemd would revive them in
 * the middle of a switch. The updater's own unit is never touched; a process in it counts as a plain one.
 */
import { type ErrorCode, errorText, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { fullUnitName } from './one-service.ts';
import { owningUnit, parseStatusOwner } from './proc-text.ts';
import type { UnitBefore } from './snapshot.ts';
import { isUp } from './unit-decision.ts';
import { type Properties, properties, shownProperties, whyDead, words } from './unit-text.ts';

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
  /** A unit with what triggers it and what systemd stops with it. */
  look(unit: string): Promise<UnitBefore>;
  show(unit: string): Promise<Properties>;
  /** Returns when every process of these units has ended, or systemd knows them no more. Throws PROCESS_KILL_FAILED with systemctl's words. */
  stop(units: readonly string[]): Promise<void>;
  /**
   * Returns when the unit is up; a running one is restarted. Throws SERVICE_START_FAILED. Gives its main process's start before
   * (CLOCK_MONOTONIC, us).
   */
  start(unit: string): Promise<number>;
  /** Throws SERVICE_START_FAILED. */
  setEnabled(unit: string, isEnabled: boolean): Promise<void>;
  /** Why a unit that was started does not run any more; undefined when it does, or was a one-shot that succeeded. */
  whyDead(unit: string, startedBeforeUs?: number): Promise<string | undefined>;
  /** The last lines of the unit's programs in the system's journal since a time (ms since 1970), of all its starts. Empty where there is none. */
  lastLines(unit: string, sinceMs: number): Promise<string>;
}

export async function systemdRuns(
  files: Pick<Host['files'], 'stat'>,
  places = systemdPlaces,
): Promise<boolean> {
  return (await files.stat(places.bootedDirectory)) !== undefined;
}

/** Systemd as it runs on this device, or undefined where it does not. */
export async function findSystemd(
  host: SystemdHost,
  places: SystemdPlaces = systemdPlaces,
): Promise<Systemd | undefined> {
  if (!(await systemdRuns(host.files, places))) return undefined;
  const ownUnit = owningUnit((await host.processes.read(host.processes.ownPid, 'cgroup')) ?? '');
  const systemctl = (code: ErrorCode, ...args: string[]) => run(host, code, [places.systemctl, ...args]);
  const show = async (unit: string) =>
    properties(await systemctl('SERVICE_START_FAILED', 'show', `--property=${shownProperties}`, '--', unit));
  const foreign = (unit: string | undefined) => (unit === ownUnit ? undefined : unit);
  /** Of `units`, those that are active and not the updater itself. */
  const activeOf = async (units: readonly string[]) => {
    const active: string[] = [];
    for (const unit of units)
      if (foreign(unit) !== undefined && isUp((await show(unit)).ActiveState)) active.push(unit);
    return active;
  };
  return {
    foreignUnit: (name) => foreign(fullUnitName(name)),
    unitOf: async (pid) => foreign(owningUnit((await host.processes.read(pid, 'cgroup')) ?? '')),
    isOfUnit: async (unit, uid) => {
      const mainPid = Number((await show(unit)).MainPID ?? 0);
      if (mainPid === 0) return true;
      const owner = parseStatusOwner((await host.processes.read(mainPid, 'status')) ?? '');
      return owner === undefined || owner.uid === uid;
    },
    look: async (unit) => {
      const shown = await show(unit);
      return {
        unit,
        load: shown.LoadState ?? '',
        active: shown.ActiveState ?? '',
        sub: shown.SubState ?? '',
        file: shown.UnitFileState ?? '',
        triggers: await activeOf(words(shown.TriggeredBy)),
        dependents: await activeOf(await dependentsOf(unit, show)),
      };
    },
    show,
    stop: async (units) => {
      try {
        await systemctl('PROCESS_KILL_FAILED', 'stop', '--', ...units);
      } catch (thrown) {
        // A unit that went by itself meanwhile may be unknown by now ("not loaded", status 5): it is as down as was wanted.
        const left = await Promise.all(units.map(show));
        if (left.some(({ ActiveState: state }) => state !== 'inactive' && state !== 'failed')) throw thrown;
      }
    },
    start: async (unit) => {
      const before = await show(unit);
      // The update may have replaced the unit file itself.
      if (before.NeedDaemonReload === 'yes') await systemctl('SERVICE_START_FAILED', 'daemon-reload');
      // A version that crashed a few times must not keep another from starting (StartLimitBurst); what is not loaded has no count.
      await systemctl('SERVICE_START_FAILED', 'reset-failed', '--', unit).catch(() => undefined);
      // Refused where its service runs, which a kill between the two stops can leave; who starts a socket starts that next.
      const served = unit.endsWith('.socket') ? await activeOf(words(before.Triggers)) : [];
      if (served.length > 0) await systemctl('SERVICE_START_FAILED', 'stop', '--', ...served);
      await systemctl('SERVICE_START_FAILED', isUp(before.ActiveState) ? 'restart' : 'start', '--', unit);
      return Number(before.ExecMainStartTimestampMonotonic ?? 0);
    },
    setEnabled: async (unit, isEnabled) => {
      if (isEnabled) await systemctl('SERVICE_START_FAILED', 'daemon-reload');
      await systemctl('SERVICE_START_FAILED', isEnabled ? 'enable' : 'disable', '--', unit);
    },
    whyDead: async (unit, startedBeforeUs) => whyDead(await show(unit), startedBeforeUs),
    lastLines: async (unit, sinceMs) => {
      const which = [`--since=@${(sinceMs / 1000).toFixed(3)}`, `_SYSTEMD_UNIT=${unit}`];
      const journalctl = ['journalctl', '--no-pager', '--quiet', '-o', 'cat', '-n', '20', ...which];
      const said = await host.processes.run(journalctl, limits.serviceCommandMs).catch(() => undefined);
      return said?.status === 0 ? said.stdout.trim() : '';
    },
  };
}

/** Every unit that systemd stops when `unit` is stopped, whether it runs or not. */
async function dependentsOf(unit: string, show: (unit: string) => Promise<Properties>): Promise<string[]> {
  const found = new Set<string>();
  const queue = [unit];
  for (
    let next = queue.shift();
    next !== undefined && found.size < limits.dependentUnits;
    next = queue.shift()
  ) {
    const shown = await show(next);
    for (const key of ['RequiredBy', 'RequisiteOf', 'BoundBy', 'ConsistsOf', 'PropagatesStopTo'])
      for (const other of words(shown[key])) {
        if (other === unit || found.has(other)) continue;
        found.add(other);
        queue.push(other);
      }
  }
  return [...found];
}

async function run(host: SystemdHost, code: ErrorCode, argv: readonly string[]): Promise<string> {
  const command = argv.join(' ');
  try {
    const { status, stdout, stderr } = await host.processes.run(argv, limits.serviceCommandMs);
    if (status === 0) return stdout;
    throw new UpdateError(code, `${command}: exit status ${status}: ${stderr.trim() || 'no message'}`);
  } catch (thrown) {
    if (thrown instanceof UpdateError) throw thrown;
    const text = errorText(thrown);
    throw new UpdateError(code, `${command}: ${text}`, { cause: thrown });
  }
}
