/**
 * Starts one service and finds out whether it stays up.
 *
 * Invariant: a service that dies within `limits.serviceSettleMs` of its start never counts as started.
 */
import { UpdateError } from '../errors.ts';
import type { Command } from '../host/host.ts';
import { limits } from '../limits.ts';
import { findProcesses, inheritableEnvironment, type ProcessesHost, title } from './processes.ts';
import type { CapturedProcess, ServiceSnapshot } from './snapshot.ts';
import type { Systemd } from './systemd.ts';

/** One thing to start. */
export type Start =
  | { readonly kind: 'unit'; readonly module: string; readonly unit: string }
  | {
      readonly kind: 'process';
      readonly module: string;
      readonly processName: string;
      readonly command: Command;
    };

/** What has to be started so that a service runs again; nothing when it did not run and nobody says how to. */
export async function startsOf(
  host: ProcessesHost,
  snapshot: ServiceSnapshot,
  which: 'new' | 'old',
): Promise<Start[]> {
  const { module, unit, runningUnits } = snapshot;
  const units = which === 'new' && unit !== null ? [unit] : runningUnits;
  const commands = which === 'new' ? await newCommands(host, snapshot) : await oldCommands(host, snapshot);
  if (units.length === 0 && commands.length === 0) host.log.info(`${module}: nothing to start`);
  const processName = snapshot.processName ?? module;
  return [
    ...units.map((name): Start => ({ kind: 'unit', module, unit: name })),
    ...commands.map((command): Start => ({ kind: 'process', module, processName, command })),
  ];
}

/** What runs already is not started twice: it could not be stopped, or the system started it at boot. */
async function oldCommands(host: ProcessesHost, snapshot: ServiceSnapshot): Promise<Command[]> {
  const { module, processName, runningProcesses } = snapshot;
  if (runningProcesses.length === 0) return [];
  const running = await findProcesses(host, processName ?? module);
  return runningProcesses.map(asCaptured).filter(({ argv }) => {
    const same = running.find((process) => process.argv.join('\0') === argv.join('\0'));
    if (same !== undefined) host.log.info(`${module}: ${title(same)} runs already`);
    return same === undefined;
  });
}

async function newCommands(host: ProcessesHost, snapshot: ServiceSnapshot): Promise<Command[]> {
  const { unit, start, runningUnits, runningProcesses } = snapshot;
  if (unit !== null) return [];
  if (start === null) return runningProcesses.map(asCaptured);
  if (runningUnits.length > 0) return [];
  const [before] = runningProcesses;
  if (before === undefined) return [{ argv: start, cwd: '/', env: await inheritableEnvironment(host) }];
  // The manifest knows the command line, the device knows the user and the environment.
  const { program: _, ...identity } = asCaptured(before);
  return [{ ...identity, argv: start }];
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
  | { readonly kind: 'unit'; readonly module: string; readonly unit: string }
  | {
      readonly kind: 'process';
      readonly module: string;
      readonly processName: string;
      readonly title: string;
      exit: { readonly outcome: number | string; readonly afterMs: number } | undefined;
    };

/** Throws SERVICE_START_FAILED with the system's words when it cannot even be started. */
export async function launch(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  start: Start,
): Promise<Launched> {
  switch (start.kind) {
    case 'unit':
      if (systemd === undefined)
        throw new UpdateError(
          'SERVICE_START_FAILED',
          `${start.module}: unit ${start.unit}: systemd does not run`,
        );
      host.log.info(`${start.module}: starting unit ${start.unit}`);
      await systemd.start(start.unit);
      return start;
    case 'process':
      return await launchProcess(host, start);
    default:
      return start satisfies never;
  }
}

async function launchProcess(
  host: ProcessesHost,
  { module, processName, command }: Extract<Start, { kind: 'process' }>,
): Promise<Launched> {
  const commandLine = command.argv.join(' ');
  try {
    const startedMs = host.clock.elapsed();
    const { pid, ended, missing } = await host.processes.start(command);
    host.log.info(`${module}: started ${commandLine} (pid ${pid})`);
    for (const what of missing) host.log.warn(`${module}: ${commandLine} did not get back ${what}`);
    const launched: Launched = {
      kind: 'process',
      module,
      processName,
      title: `${commandLine} (pid ${pid})`,
      exit: undefined,
    };
    void ended.then((outcome) => {
      launched.exit = { outcome, afterMs: Math.round(host.clock.elapsed() - startedMs) };
    });
    return launched;
  } catch (thrown) {
    const words = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UpdateError('SERVICE_START_FAILED', `${module}: ${commandLine}: ${words}`, { cause: thrown });
  }
}

/**
 * Watches all together for `limits.serviceSettleMs`. Throws SERVICE_START_FAILED as soon as a process fails, and at the
 * end for a unit that is not up and for a program that put itself in the background but is not there.
 */
export async function assertStaysUp(
  host: ProcessesHost,
  systemd: Systemd | undefined,
  launched: readonly Launched[],
  signal?: AbortSignal,
): Promise<void> {
  if (launched.length === 0) return;
  const deadline = host.clock.elapsed() + limits.serviceSettleMs;
  while (host.clock.elapsed() < deadline) {
    await host.clock.sleep(limits.processPollMs, signal);
    for (const service of launched) assertNotFailed(service);
  }
  for (const service of launched) await assertUp(host, systemd, service);
}

function assertNotFailed(service: Launched): void {
  if (service.kind === 'unit' || service.exit === undefined || service.exit.outcome === 0) return;
  const { outcome, afterMs } = service.exit;
  const how = typeof outcome === 'number' ? `with exit status ${outcome}` : `by ${outcome}`;
  throw new UpdateError(
    'SERVICE_START_FAILED',
    `${service.module}: ${service.title} ended ${how}, ${afterMs} ms after its start`,
  );
}

async function assertUp(host: ProcessesHost, systemd: Systemd | undefined, service: Launched): Promise<void> {
  switch (service.kind) {
    case 'unit': {
      const why = await systemd?.whyDead(service.unit);
      if (why === undefined) return;
      throw new UpdateError('SERVICE_START_FAILED', `${service.module}: unit ${service.unit} ${why}`);
    }
    case 'process': {
      assertNotFailed(service);
      // A program that ended with 0 may have left its real process in the background.
      if (service.exit === undefined) return;
      if ((await findProcesses(host, service.processName)).length > 0) return;
      throw new UpdateError(
        'SERVICE_START_FAILED',
        `${service.module}: ${service.title} ended with exit status 0, ${service.exit.afterMs} ms after its start, ` +
          `and no process named ${service.processName} runs`,
      );
    }
    default:
      return service satisfies never;
  }
}
