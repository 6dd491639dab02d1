/**
 * Running a module's commands (spec section 10): one after another, as the updater's user in `/`, in a clean environment,
 * bounded in time and in what is logged. They may be cut or killed at any point and run again: that is said to whoever writes
 * them.
 */
import { errno, errorText, UpdateError } from '../errors.ts';
import type { Host, Log } from '../host/host.ts';
import { limits } from '../limits.ts';

export interface CommandGroup {
  readonly module: string;
  /** Of the update that brought them, and what was installed before it. */
  readonly version: string;
  readonly previousVersion: string | null;
  /** Id of that update. */
  readonly update: string;
  readonly commands: readonly (readonly string[])[];
  /** Bound of each. */
  readonly timeoutMs: number;
}

/** What `TOPE_KIND` says. */
export type CommandOccasion = 'install' | 'rollback' | 'repair';

/** Runs all commands of a module, apart from the updater's own bounds. Throws DEPLOYMENT_FAILED with the last line of the first that fails or takes too long, or the signal's reason. */
export async function runCommands(
  host: Pick<Host, 'processes' | 'log'>,
  group: CommandGroup,
  occasion: CommandOccasion,
  signal: AbortSignal,
): Promise<void> {
  const env = environmentOf(group, occasion);
  for (const argv of group.commands) {
    const words = `${group.module}: ${lineOf(argv)}`;
    host.log.info(`${words}: runs`);
    const output = loggedOutput(host.log, group.module);
    let fault: string | undefined;
    try {
      const options = { env, signal, onOutput: output.take, isApart: true };
      const { status } = await host.processes.run(argv, group.timeoutMs, options);
      if (status !== 0) fault = `exit status ${status}`;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      fault = errno(thrown) === 'ETIMEDOUT' ? tooLong(group) : errorText(thrown);
    }
    const last = output.end();
    if (fault === undefined) continue;
    throw new UpdateError('DEPLOYMENT_FAILED', `${words}: ${fault}${last === '' ? '' : `: ${last}`}`);
  }
}

function tooLong({ timeoutMs }: CommandGroup): string {
  return `did not end within ${timeoutMs / 1000} s, which "timeout_s" of the module allows each command`;
}

/** Ends what an updater that was killed has left running of an update's commands, before they run again beside themselves. */
export async function endLeftCommands(
  { processes, log }: Pick<Host, 'processes' | 'log'>,
  update: string,
  occasion: CommandOccasion,
): Promise<void> {
  const marks = [`TOPE_UPDATE=${update}`, `TOPE_KIND=${occasion}`];
  const isMarked = async (pid: number) => {
    const environment = (await processes.read(pid, 'environ'))?.split('\0') ?? [];
    return marks.every((mark) => environment.includes(mark));
  };
  // A command has started this very updater: what else of it belongs to the updater cannot be told.
  if (await isMarked(processes.ownPid)) return;
  for (const pid of await processes.list()) {
    if (!(await isMarked(pid))) continue;
    const line = ((await processes.read(pid, 'cmdline')) ?? '').split('\0').join(' ').trim();
    log.warn(`${line.slice(0, 120)} (pid ${pid}) still runs for the commands of this update: it is ended`);
    processes.signal(pid, 'SIGKILL');
  }
}

function environmentOf(
  { module, version, previousVersion, update }: CommandGroup,
  occasion: CommandOccasion,
): Readonly<Record<string, string>> {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
    HOME: '/',
    TOPE_MODULE: module,
    TOPE_VERSION: version,
    TOPE_PREVIOUS_VERSION: previousVersion ?? '',
    TOPE_UPDATE: update,
    TOPE_KIND: occasion,
  };
}

/** As a person would write it, short enough for a line. */
function lineOf(argv: readonly string[]): string {
  const [program, flag, text] = argv;
  const line = program === '/bin/sh' && flag === '-c' && argv.length === 3 ? (text ?? '') : argv.join(' ');
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}

/** Logs what comes line by line, up to a bound; `end` gives the last line that was not empty. */
function loggedOutput(log: Log, module: string) {
  const decoder = new TextDecoder();
  let [rest, last] = ['', ''];
  let [loggedBytes, droppedBytes] = [0, 0];
  const say = (line: string) => {
    if (line.trim() === '') return;
    last = line.trim().slice(0, 200);
    if (loggedBytes + line.length > limits.commandLogBytes) droppedBytes += line.length;
    else {
      loggedBytes += line.length;
      log.info(`${module}: | ${line}`);
    }
  };
  return {
    take: (chunk: Uint8Array): void => {
      const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) say(line);
      // A line without an end must not grow for ever.
      if (rest.length > limits.logLineChars) {
        say(rest);
        rest = '';
      }
    },
    end: (): string => {
      say(rest);
      if (droppedBytes > 0) log.info(`${module}: | … ${droppedBytes} more bytes`);
      return last;
    },
  };
}
