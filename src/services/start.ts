/** What has to be started so that one service of a set runs again, and its start. */
import { errorText, UpdateError } from '../errors.ts';
import type { Command } from '../host/host.ts';
import { strangerAt } from '../host/trust.ts';
import { fileSize } from './output.ts';
import { ownersOf, ownUid } from './owner.ts';
import { commandName } from './proc-text.ts';
import {
  findNamed,
  inheritableEnvironment,
  type ProcessesHost,
  type ServicesHost,
  title,
} from './processes.ts';
import {
  type CapturedProcess,
  namesOf,
  type ServiceSnapshot,
  startsOfTarget,
  unitsOfTarget,
  type WhichSet,
} from './snapshot.ts';
import type { Systemd } from './systemd.ts';
import { decideUnit } from './unit-decision.ts';

/**
 * `first` comes before the rest of its order, as systemd refuses a socket of a running service; `last`, when all is up, starts
 * others by time or path.
 */
export type When = 'first' | 'then' | 'last';

export type Start =
  | { readonly kind: 'unit'; readonly module: string; readonly unit: string; readonly when: When }
  | {
      readonly kind: 'process';
      readonly module: string;
      readonly names: readonly string[];
      readonly command: Command;
      /** How many of the service are to run, those that run already included. */
      readonly copies: number;
    };

/** Nothing where it did not run and nobody says how to. Throws SERVICE_START_FAILED where what ran is gone. */
export async function startsOf(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  snapshot: ServiceSnapshot,
  set: WhichSet,
): Promise<Start[]> {
  const { module } = snapshot;
  if (set === 'target' && snapshot.goes) {
    host.log.info(`${module}: is no longer part of the set, nothing is started`);
    return [];
  }
  const units = await unitStarts(host, systemd, snapshot, set);
  const commands = units.length > 0 ? [] : await commandsOf(host, snapshot, set);
  if (units.length === 0 && commands.length === 0) host.log.info(`${module}: nothing to start`);
  const named = namesOf(snapshot);
  const names = named.length > 0 ? named : [module];
  const copies = set === 'captured' ? snapshot.runningProcesses.length : commands.length;
  return [
    ...units,
    ...commands.map((command): Start => ({ kind: 'process', module, names, command, copies })),
  ];
}

async function unitStarts(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  snapshot: ServiceSnapshot,
  set: WhichSet,
): Promise<Start[]> {
  const { module, runningUnits, enables, earlier, leaves } = snapshot;
  // How the older version ran says what a rollback starts; of one that it did not have, nothing.
  const before =
    set === 'target' && earlier !== undefined ? [...earlier.units, ...snapshot.units] : snapshot.units;
  const ranEarlier = set === 'target' ? (earlier?.runningUnits ?? []) : [];
  const ran =
    ranEarlier.length > 0
      ? ranEarlier
      : runningUnits.filter((each) => set === 'captured' || !leaves.includes(each));
  const wanted = set === 'target' ? unitsOfTarget(snapshot) : [];
  const first = await decided(wanted);
  const chosen = first.length > 0 ? first : await decided(ran);
  const facts = chosen.flatMap((unit) => before.find((each) => each.unit === unit) ?? []);
  const all = [...snapshot.units, ...facts];
  const unit = (name: string, when: When): Start => ({ kind: 'unit', module, unit: name, when });
  // What was stopped with a unit comes back with it, also where the unit itself waits for its trigger.
  const kept =
    set === 'target' && snapshot.disables.length > 0
      ? all.filter((each) => !snapshot.disables.includes(each.unit))
      : all;
  const dependents = chosen.length === 0 ? [] : kept.flatMap((each) => each.dependents);
  const triggers = kept.flatMap((each) => each.triggers);
  return [
    ...chosen.map((name) => unit(name, 'then')),
    ...[...new Set(dependents)].filter((name) => !chosen.includes(name)).map((name) => unit(name, 'then')),
    ...[...new Set(triggers)].map((name) => unit(name, name.endsWith('.socket') ? 'first' : 'last')),
  ];

  async function decided(names: readonly string[]): Promise<string[]> {
    const starts: string[] = [];
    for (const name of new Set(names)) {
      if (systemd === undefined)
        throw new UpdateError('SERVICE_START_FAILED', `${module}: unit ${name}: systemd does not run`);
      const loadNow = (await systemd.show(name)).LoadState ?? '';
      const fact = before.find((each) => each.unit === name);
      const decision = decideUnit({ before: fact, loadNow, enable: enables.includes(name), set });
      if (decision.do === 'start') starts.push(name);
      else if (decision.do === 'leave')
        host.log[decision.warns ? 'warn' : 'info'](
          `${module}: unit ${name} ${decision.why}: it is not started`,
        );
      else throw new UpdateError('SERVICE_START_FAILED', `${module}: unit ${name} ${decision.why}`);
    }
    return starts;
  }
}

async function commandsOf(host: ProcessesHost, snapshot: ServiceSnapshot, set: WhichSet): Promise<Command[]> {
  const { runningProcesses, lastRan, earlier } = snapshot;
  if (set === 'captured') return notRunning(host, snapshot, runningProcesses.map(asCaptured));
  const ran =
    earlier === undefined || earlier.runningProcesses.length === 0
      ? runningProcesses
      : earlier.runningProcesses;
  const starts = startsOfTarget(snapshot);
  // Its unit is one that was stopped on purpose, or not there: what ran beside it comes back.
  if (starts.length === 0 || unitsOfTarget(snapshot).length > 0) return ran.map(asCaptured);
  const [before] = [...ran, ...runningProcesses, ...lastRan];
  if (before === undefined) {
    for (const argv of starts) await refuseForStranger(snapshot.module, argv);
    const env = await inheritableEnvironment(host);
    return starts.map((argv) => ({ argv, cwd: '/', env }));
  }
  // The manifest knows the command line, the device knows the user and the environment.
  const { program: _, ...identity } = asCaptured(before);
  return starts.map((argv) => ({ ...identity, argv }));
}

/** Nobody knows as whom it is to run: as the updater's user only what no other user can exchange. */
async function refuseForStranger(module: string, [program = '']: readonly string[]): Promise<void> {
  const stranger = await strangerAt(program);
  if (stranger === undefined) return;
  const why = `${program} has never been seen to run, and ${stranger}, who would become the updater's user`;
  throw new UpdateError(
    'SERVICE_START_FAILED',
    `${module}: ${why}: start it once as the user it is to run as, or name its unit in "service"`,
  );
}

/** What runs already is not started twice: it could not be stopped, or something else started it meanwhile. */
async function notRunning(
  host: ProcessesHost,
  snapshot: ServiceSnapshot,
  commands: readonly Command[],
): Promise<Command[]> {
  if (commands.length === 0) return [];
  const names = namesOf(snapshot);
  const running = await findNamed(host, names.length > 0 ? names : [snapshot.module]);
  const owners = await ownersOf(host, running);
  const own = await ownUid(host);
  return commands.filter(({ argv, uid = own }) => {
    const same = running.find(
      (process) => owners.get(process) === uid && process.argv.join('\0') === argv.join('\0'),
    );
    if (same !== undefined) host.log.info(`${snapshot.module}: ${title(same)} runs already`);
    return same === undefined;
  });
}

function asCaptured({ program, traits, stdout, stderr, ...command }: CapturedProcess): Command {
  return {
    ...command,
    ...(program === null ? {} : { program }),
    ...(traits === undefined ? {} : { traits }),
    ...(stdout === undefined ? {} : { stdout }),
    ...(stderr === undefined ? {} : { stderr }),
  };
}

/** Something that was started. `exit` is set once a process has ended: its status, or the name of its signal. */
export type Launched =
  | {
      readonly kind: 'unit';
      readonly module: string;
      readonly unit: string;
      /** When the main process before it had been started: see Systemd.start. */
      readonly startedBeforeUs: number;
      /** When its start began, by the wall clock. */
      readonly startedMs: number;
    }
  | {
      readonly kind: 'process';
      readonly module: string;
      readonly names: readonly string[];
      readonly copies: number;
      readonly title: string;
      /** What it is found by, as its command line tells; undefined: by none. */
      readonly file: string | undefined;
      readonly pid: number;
      /** Undefined: the updater's own, as nobody knew whose it is. */
      readonly uid: number | undefined;
      /** When it was started, ms after the boot. */
      readonly startedBootMs: number;
      /** The updater's own file for its output, and how long that was before. */
      readonly output: { readonly path: string; readonly fromByte: number } | undefined;
      exit: { readonly outcome: number | string; readonly afterMs: number } | undefined;
    };

/** Throws SERVICE_START_FAILED with the system's words when it cannot even be started. */
export async function launch(
  host: ServicesHost,
  systemd: Systemd | undefined,
  start: Start,
  outputDirectory: string | undefined,
): Promise<Launched> {
  switch (start.kind) {
    case 'unit': {
      const { module, unit } = start;
      if (systemd === undefined)
        throw new UpdateError('SERVICE_START_FAILED', `${module}: unit ${unit}: systemd does not run`);
      host.log.info(`${module}: starting unit ${unit}`);
      const startedMs = host.clock.now();
      return { kind: 'unit', module, unit, startedMs, startedBeforeUs: await systemd.start(unit) };
    }
    case 'process':
      return await launchProcess(host, start, outputDirectory);
    default:
      return start satisfies never;
  }
}

async function launchProcess(
  host: ServicesHost,
  { module, names, copies, command }: Extract<Start, { kind: 'process' }>,
  outputDirectory: string | undefined,
): Promise<Launched> {
  const commandLine = command.argv.join(' ');
  try {
    const log = outputDirectory === undefined ? undefined : `${outputDirectory}/${module}.out`;
    const output = log === undefined ? undefined : { path: log, fromByte: await fileSize(host.files, log) };
    const [startedMs, startedBootMs] = [host.clock.elapsed(), host.clock.boot().ms];
    const { pid, ended, missing } = await host.processes.start({
      ...command,
      ...(log === undefined ? {} : { log }),
    });
    host.log.info(`${module}: started ${commandLine} (pid ${pid})`);
    for (const what of missing) host.log.warn(`${module}: ${commandLine} did not get back ${what}`);
    const launched: Launched = {
      kind: 'process',
      module,
      names,
      copies,
      title: `${commandLine} (pid ${pid})`,
      file: commandName(command.argv),
      pid,
      uid: command.uid,
      startedBootMs,
      output,
      exit: undefined,
    };
    void ended.then((outcome) => {
      launched.exit = { outcome, afterMs: Math.round(host.clock.elapsed() - startedMs) };
    });
    return launched;
  } catch (thrown) {
    const words = errorText(thrown);
    throw new UpdateError('SERVICE_START_FAILED', `${module}: ${commandLine}: ${words}`, { cause: thrown });
  }
}
