/** What one service runs as before it is stopped, with all it takes to start it again; and what the target set says of it. */
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { ServiceSpec } from '../release.ts';
import { type CaptureRoom, captureProcess, isElsewhere } from './capture-process.ts';
import { type OneService, processNameOf } from './one-service.ts';
import { ofService, ownersOf } from './owner.ts';
import { hasLostCommand } from './proc-text.ts';
import { namedAmong, type ProcessesHost, type RunningProcess, title } from './processes.ts';
import {
  type CapturedProcess,
  modulesOf,
  type ServiceSnapshot,
  type UnitBefore,
  wasEnabled,
} from './snapshot.ts';
import type { Systemd } from './systemd.ts';

export interface CaptureContext {
  readonly host: ProcessesHost;
  readonly systemd: Systemd | undefined;
  /** Every process of the device at one moment. */
  readonly running: readonly RunningProcess[];
  /** How services ran when an earlier update was made, newest first: whose user is known is known by it. */
  readonly known: readonly ServiceSnapshot[];
  /** Of a rollback: how they ran when the version ran that it leads to. */
  readonly earlier: readonly ServiceSnapshot[];
  readonly room: CaptureRoom;
}

/** Picks the service's own out of what runs. SERVICE_START_FAILED where it could not be started again after a stop. */
export async function captureService(context: CaptureContext, service: OneService): Promise<ServiceSnapshot> {
  const { systemd } = context;
  const { target, before } = service;
  const both = [...target, ...before];
  const [module = ''] = both.map((spec) => spec.module);
  const names = unique(both.map(processNameOf));
  const [processName = null, ...moreNames] = names;
  const [unit = null, ...moreUnits] = unitsOf(context, target);
  const [start = null, ...moreStarts] = uniqueLines(target.map((spec) => spec.start));
  const orders = (target.length > 0 ? target : before).map(({ restartOrder }) => restartOrder);
  const { processes, units: unitsOfProcesses } = await plainAndUnits(context, module, names);
  warnOfUnused(context, both);
  const lookedAt = unique([...unitsOf(context, both), ...unitsOfProcesses]);
  const units: UnitBefore[] = [];
  for (const name of lookedAt) if (systemd !== undefined) units.push(await systemd.look(name));
  const runningUnits = units
    .filter(({ active }) => active !== 'inactive' && active !== 'failed')
    .map((each) => each.unit);
  const mayStart = unit !== null || start !== null;
  const runningProcesses = await capturedOf(context, module, processes, mayStart);
  const lastRan = lastOf(context, module)?.runningProcesses.slice(0, 1) ?? [];
  const past = context.earlier.find((each) => both.some((spec) => modulesOf(each).includes(spec.module)));
  return {
    module,
    modules: unique(both.map((spec) => spec.module)),
    processName,
    moreNames,
    restartOrder: lowest(orders),
    unit,
    moreUnits,
    start,
    moreStarts,
    runningUnits,
    runningProcesses,
    lastRan: runningProcesses.length > 0 ? [] : lastRan,
    units,
    enables: unitsOf(
      context,
      target.filter(({ enable }) => enable === true),
    ),
    enablesAgain: disabledThen(past).filter((each) => each === unit || moreUnits.includes(each)),
    disables: disablesOf(context, service, past),
    leaves: mayStart
      ? unitsOf(context, before).filter((name) => name !== unit && !moreUnits.includes(name))
      : [],
    goes: target.length === 0,
    ...(past === undefined
      ? {}
      : {
          earlier: {
            units: past.units,
            runningUnits: past.runningUnits,
            runningProcesses: past.runningProcesses,
          },
        }),
  };
}

/** Those that systemd can be asked for. */
function unitsOf({ systemd }: CaptureContext, specs: readonly ServiceSpec[]): string[] {
  return unique(specs.map(({ unit }) => (unit === undefined ? undefined : systemd?.foreignUnit(unit))));
}

function warnOfUnused({ host, systemd }: CaptureContext, specs: readonly ServiceSpec[]): void {
  const why = systemd === undefined ? 'systemd does not run on this device' : "it is the updater's own";
  const unused = specs.map(({ module, unit }) =>
    unit === undefined || systemd?.foreignUnit(unit) !== undefined
      ? undefined
      : `${module}: unit ${unit} is not used: ${why}`,
  );
  for (const text of unique(unused)) host.log.warn(text);
}

/** What another set enabled and this one does not is as it was before that, or goes with its module. */
function disablesOf(
  context: CaptureContext,
  { target, before }: OneService,
  past?: ServiceSnapshot,
): string[] {
  const kept = target.filter(({ enable }) => enable === true).map(({ unit }) => unit);
  const gone = before.filter(
    ({ enable, unit }) => (enable === true || target.length === 0) && !kept.includes(unit),
  );
  return unitsOf(context, gone).filter(
    (unit) => past?.units.find((each) => each.unit === unit)?.file !== 'enabled',
  );
}

/** What an update disabled because its module went. */
function disabledThen(past: ServiceSnapshot | undefined): string[] {
  if (past === undefined || !past.goes) return [];
  return past.disables.filter((name) => wasEnabled(past, name));
}

/** The processes of these names that are the service, and the units that others of them belong to. */
async function plainAndUnits(
  { host, systemd, running, known }: CaptureContext,
  module: string,
  names: readonly string[],
): Promise<{ processes: RunningProcess[]; units: string[] }> {
  const named = await namedAmong(host, running, names);
  const owners = await ownersOf(host, named);
  const units: string[] = [];
  const plain: RunningProcess[] = [];
  for (const process of named) {
    const unit = await systemd?.unitOf(process.pid);
    if (unit === undefined) plain.push(process);
    else if (await systemd?.isOfUnit(unit, owners.get(process))) units.push(unit);
  }
  const knownUid = lastOf({ known }, module)?.runningProcesses[0]?.uid;
  const ours = ofService(plain, owners, knownUid);
  const whose = ours.length === 0 && knownUid !== undefined ? `: it ran as uid ${knownUid} so far` : '';
  for (const other of plain.filter((process) => !ours.includes(process)))
    host.log.warn(
      `${module}: ${title(other)} has its name, but is another user's${whose}: stopped, not started again`,
    );
  // A worker comes back with the process that made it.
  return { processes: ours.filter(({ parentPid }) => !ours.some(({ pid }) => pid === parentPid)), units };
}

/** How it ran when an update last saw it run. */
function lastOf({ known }: Pick<CaptureContext, 'known'>, module: string): ServiceSnapshot | undefined {
  return known.find((each) => modulesOf(each).includes(module) && each.runningProcesses.length > 0);
}

async function capturedOf(
  { host, room, known }: CaptureContext,
  module: string,
  processes: readonly RunningProcess[],
  mayStart: boolean,
): Promise<CapturedProcess[]> {
  const captured: CapturedProcess[] = [];
  for (const process of processes.slice(0, limits.capturedProcesses)) {
    if (await isElsewhere(host, process.pid, 'ns/net'))
      throw new UpdateError(
        'SERVICE_START_FAILED',
        `${module}: ${title(process)} has a network namespace of its own, which the updater could not give it again: run it as a unit, named in "service"`,
      );
    const one = await captureProcess(host, process, room);
    if (one !== undefined) captured.push(one);
    else if (!mayStart && hasLostCommand(process) && known.some((each) => modulesOf(each).includes(module)))
      throw new UpdateError(
        'SERVICE_START_FAILED',
        `${module}: ${title(process)} has written over its command line, so that it could not be started again: the manifest has to say "start" or "service"`,
      );
  }
  if (processes.length > limits.capturedProcesses)
    host.log.warn(
      `${module}: ${processes.length} processes run, ${limits.capturedProcesses} of them come back`,
    );
  return captured;
}

function unique(texts: readonly (string | undefined)[]): string[] {
  return [...new Set(texts)].filter((text) => text !== undefined);
}

function uniqueLines(lines: readonly (readonly string[] | undefined)[]): string[][] {
  const found = new Map<string, string[]>();
  for (const line of lines) if (line !== undefined) found.set(line.join('\0'), [...line]);
  return [...found.values()];
}

function lowest(orders: readonly (number | undefined)[]): number | null {
  const given = orders.filter((order) => order !== undefined);
  return given.length === 0 ? null : Math.min(...given);
}
