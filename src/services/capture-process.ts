/**
 * All that it takes to start a process again as it was. What it chose itself (arguments, environment) is bounded before it goes
 * into the journal; what is left out is said.
 */

import { parseLimits, parseOomScoreAdj, parseStatusTraits } from '../host/proc-traits.ts';
import { limits } from '../limits.ts';
import { hasLostCommand, parseEnviron, parseStat, parseStatusOwner, withoutDeleted } from './proc-text.ts';
import { type ProcessesHost, type RunningProcess, stillAlive, title } from './processes.ts';
import type { CapturedProcess } from './snapshot.ts';

/** Room in the journal, as bytes of JSON: what was captured takes its part. */
export interface CaptureRoom {
  leftBytes: number;
}

/** How to start a process again; undefined when it ended meanwhile, is closed to us, or no command line can be had. */
export async function captureProcess(
  host: ProcessesHost,
  process: RunningProcess,
  room: CaptureRoom = { leftBytes: limits.capturedBytes },
): Promise<CapturedProcess | undefined> {
  const { processes, log } = host;
  const { pid } = process;
  const environ = await processes.read(pid, 'environ');
  const cwd = await processes.readLink(pid, 'cwd');
  const owner = parseStatusOwner((await processes.read(pid, 'status')) ?? '');
  const traits = await traitsOf(host, pid);
  const stdout = await outputOf(host, pid, 'fd/1');
  const stderr = await outputOf(host, pid, 'fd/2');
  const [alive] = await stillAlive(host, [process]);
  if (alive === undefined || process.argv.length === 0) return undefined;
  const refuse = (why: string) => {
    log.warn(`${title(process)} cannot be started again as it was: ${why}`);
    return undefined;
  };
  if (environ === undefined || cwd === undefined || owner === undefined)
    return refuse('its /proc entry is closed to the updater');
  if (hasLostCommand(process))
    return refuse('it has written over its command line; "start" in the manifest tells it');
  const argv = withoutTitlePadding(process);
  const argvBytes = sizeOf(argv);
  if (argvBytes > Math.min(limits.capturedArgumentsBytes, room.leftBytes))
    return refuse(`its ${argvBytes} bytes of arguments are beyond the bound`);
  const env = boundedEnvironment(host, process, environ, {
    leftBytes: Math.min(limits.capturedEnvironmentBytes, room.leftBytes - argvBytes),
  });
  const captured: CapturedProcess = {
    argv,
    program: process.exe === undefined ? null : withoutDeleted(process.exe),
    cwd: withoutDeleted(cwd),
    env,
    ...owner,
    traits,
    ...(stdout === undefined ? {} : { stdout }),
    ...(stderr === undefined ? {} : { stderr }),
  };
  room.leftBytes -= sizeOf(captured);
  return captured;
}

/** A title written over a command line ends with the rest of its room. */
function withoutTitlePadding({ argv }: RunningProcess): string[] {
  const [name = '', ...rest] = argv;
  return rest.length > 1 && rest.every((word) => word === '') ? [name] : [name, ...rest];
}

function boundedEnvironment(
  host: ProcessesHost,
  process: RunningProcess,
  environ: string,
  room: CaptureRoom,
): Record<string, string> {
  // What was cut at the bound of the read may end in the middle of a value.
  const whole =
    environ.length >= limits.procTextBytes ? environ.slice(0, environ.lastIndexOf('\0') + 1) : environ;
  const kept: [string, string][] = [];
  const leftOut: string[] = [];
  // Small ones first: where something has to be left out it is what is large.
  const entries = Object.entries(parseEnviron(whole)).map(([name, value]) => ({
    name,
    value,
    bytes: sizeOf(name) + sizeOf(value) + 2,
  }));
  for (const { name, value, bytes } of entries.sort((a, b) => a.bytes - b.bytes)) {
    if (bytes > room.leftBytes) leftOut.push(name.slice(0, 64));
    else {
      room.leftBytes -= bytes;
      kept.push([name, value]);
    }
  }
  if (leftOut.length > 0 || whole !== environ) {
    const names = [...leftOut.slice(0, 10), ...(leftOut.length > 10 || whole !== environ ? ['...'] : [])];
    host.log.warn(
      `${title(process)} comes back without what is beyond ${limits.capturedEnvironmentBytes} bytes of environment: ${names.join(', ')}`,
    );
  }
  return Object.fromEntries(kept);
}

async function traitsOf(host: ProcessesHost, pid: number): Promise<CapturedProcess['traits']> {
  const { processes } = host;
  const status = parseStatusTraits((await processes.read(pid, 'status')) ?? '');
  const { cpus, noNewPrivileges } = status;
  const { ambientCapabilities, boundingCapabilities } = (await isElsewhere(host, pid, 'ns/user'))
    ? noCapabilities
    : status;
  return {
    umask: status.umask ?? 0o022,
    nice: parseStat((await processes.read(pid, 'stat')) ?? '')?.nice ?? 0,
    oomScoreAdj: parseOomScoreAdj((await processes.read(pid, 'oom_score_adj')) ?? ''),
    limits: Object.fromEntries(
      Object.entries(parseLimits((await processes.read(pid, 'limits')) ?? '')).map(([name, [soft, hard]]) => [
        name,
        [soft, hard],
      ]),
    ),
    ...(cpus === undefined ? {} : { cpus }),
    ...(ambientCapabilities === undefined ? {} : { ambientCapabilities }),
    ...(boundingCapabilities === undefined ? {} : { boundingCapabilities }),
    ...(noNewPrivileges ? { noNewPrivileges } : {}),
  };
}

/** In a user namespace of its own anybody has every capability there, none outside; what he had before cannot be told any more. */
const noCapabilities = { ambientCapabilities: '0', boundingCapabilities: '0' };

/** Whether it lives in another namespace of this kind than the updater; a kernel without the kind has but one. */
export async function isElsewhere(
  { processes }: ProcessesHost,
  pid: number,
  kind: 'ns/user' | 'ns/net',
): Promise<boolean> {
  const own = await processes.readLink(processes.ownPid, kind);
  return own !== undefined && (await processes.readLink(pid, kind)) !== own;
}

/** Undefined: a pipe, a socket, a terminal, a file that is gone. */
async function outputOf({ processes }: ProcessesHost, pid: number, descriptor: 'fd/1' | 'fd/2') {
  const path = await processes.readLink(pid, descriptor);
  if (path === undefined || !path.startsWith('/') || path.endsWith(' (deleted)')) return undefined;
  return /^\/dev\/(pts\/|tty)/.test(path) || path.length > limits.pathBytes ? undefined : path;
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
