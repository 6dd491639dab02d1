/**
 * A host around any Files port whose rest is a script: a clock that waits for nobody, programs that exist in a table,
 * a device-api that answers or not. So a whole update runs in milliseconds and the same way each time.
 *
 * Invariants: sleep() moves the clock and returns at the next turn of the event loop; what was put on the clock with
 * after() happens only when `advance` is called, because real work (inflating, hashing) takes no scripted time and
 * must not run into its own timeouts. After stop() nothing waits, sends or starts anything any more.
 */
import type {
  Clock,
  Command,
  Files,
  Host,
  HttpRequest,
  HttpResponse,
  Net,
  Processes,
} from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import { systemError } from './system-error.ts';

export interface ScriptedProgram {
  readonly argv: readonly string[];
}

export interface Script {
  readonly bootId: string;
  /** How long ago the first life began. */
  readonly bornMs: number;
  /** Exit status of every health check and helper program. */
  readonly healthStatus: number;
  /** Whether device-api answers reports. */
  readonly answersReports: boolean;
  /** What runs at the start. */
  readonly programs: readonly ScriptedProgram[];
  /** argv[0] of the programs that ignore signals. */
  readonly stubborn: readonly string[];
  /** Hears of each program that a signal ended or that was started; what it returns is what the program does first. */
  readonly onProgram: (event: 'ended' | 'started', argv: readonly string[]) => void | Promise<void>;
  /** Runs a package's command and gives its exit status; undefined where it is another program. */
  readonly onCommand: (argv: readonly string[]) => Promise<number> | undefined;
  /** What any GET is answered with, with ranges. */
  readonly download: Buffer | undefined;
  /** The answer to the first GET breaks off after so many bytes. */
  readonly breaksAfterBytes: number | undefined;
  /** Hears of each GET: from which byte on, and up to which (exclusive) where it asks for a part. */
  readonly onAsked: (fromByte: number, toByte: number | undefined) => void;
  /** Hears of each request to restart the machine. */
  readonly onReboot: () => void;
  /** Hears the body of each report that device-api answered. */
  readonly onReport: (body: string) => void;
}

export interface ScriptedHost extends Host {
  readonly lines: readonly string[];
  /** Programs that run now, by argv. */
  programs(): readonly (readonly string[])[];
  /** Moves the clock and runs what was due. */
  advance(ms: number): void;
  stop(): void;
}

const startMs = Date.UTC(2026, 0, 2, 3, 4, 5);

export function scriptedHost(files: Files, script: Script): ScriptedHost {
  const lines: string[] = [];
  const log = (level: string) => (message: string) => {
    lines.push(`${level} ${message}`);
  };
  let isStopped = false;
  const stopped = () => isStopped;
  const { clock, advance } = scriptedClock(script, stopped);
  const { processes, programs } = scriptedProcesses(script, stopped);
  return {
    files,
    clock,
    processes,
    net: scriptedNet(script, stopped),
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    memory: freeMemory,
    lines,
    programs,
    advance,
    stop: () => {
      isStopped = true;
    },
  };
}

export function scriptedClock(
  { bornMs, bootId }: Pick<Script, 'bornMs' | 'bootId'>,
  stopped: () => boolean,
): { clock: Clock; advance: (ms: number) => void } {
  let elapsedMs = 0;
  let timers: { readonly atMs: number; readonly action: () => void }[] = [];
  const advance = (ms: number): void => {
    elapsedMs += ms;
    const due = timers.filter((timer) => timer.atMs <= elapsedMs).sort((a, b) => a.atMs - b.atMs);
    timers = timers.filter((timer) => timer.atMs > elapsedMs);
    for (const timer of due) if (!stopped()) timer.action();
  };
  const clock: Clock = {
    now: () => startMs + bornMs + elapsedMs,
    elapsed: () => elapsedMs,
    boot: () => ({ id: bootId, ms: elapsedMs }),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const abort = () => reject(signal?.reason);
        signal?.addEventListener('abort', abort, { once: true });
        if (ms >= limits.rebootMs) return; // whoever waits so long waits for the end of the boot
        setImmediate(() => {
          signal?.removeEventListener('abort', abort);
          if (stopped()) return;
          elapsedMs += ms;
          resolve();
        });
      }),
    after: (ms, action) => {
      const timer = { atMs: elapsedMs + ms, action };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
  };
  return { clock, advance };
}

function scriptedProcesses(
  script: Script,
  stopped: () => boolean,
): { processes: Processes; programs: () => readonly (readonly string[])[] } {
  const running = new Map<number, readonly string[]>();
  const ending = new Set<number>();
  let nextPid = 100;
  for (const program of script.programs) running.set(nextPid++, program.argv);

  const start = async (command: Command) => {
    if (stopped()) throw systemError('ESRCH', 'spawn', command.argv.join(' '));
    const pid = nextPid++;
    running.set(pid, command.argv);
    await script.onProgram('started', command.argv);
    return { pid, ended: new Promise<number>(() => undefined), missing: [] };
  };

  return {
    programs: () => [...running.values()],
    processes: {
      ownPid: 50,
      bootId: async () => script.bootId,
      list: async () => [1, 50, ...running.keys()],
      read: async (pid, file) => procText(pid, running.get(pid), file),
      readLink: async (pid, link) => {
        const argv = running.get(pid);
        if (link.startsWith('ns/')) return 'the only one';
        return argv === undefined ? undefined : link === 'exe' ? argv[0] : link === 'cwd' ? '/' : '/dev/null';
      },
      signal: (pid) => {
        const argv = running.get(pid);
        if (argv === undefined || script.stubborn.includes(argv[0] ?? '')) return argv !== undefined;
        if (ending.has(pid)) return true;
        ending.add(pid);
        // What it saves when it is asked to end, it saves before it is gone.
        const saved = script.onProgram('ended', argv);
        if (saved === undefined) running.delete(pid);
        else void saved.finally(() => running.delete(pid));
        return true;
      },
      start,
      run: async (argv) => {
        if (argv.includes('reboot')) script.onReboot();
        if (argv.at(-1) === '--version') return { status: 0, stdout: 'tope-updater 1.1.0\n', stderr: '' };
        const status = (await script.onCommand(argv)) ?? script.healthStatus;
        return { status, stdout: '', stderr: '' };
      },
    },
  };
}

/** /proc/<pid>/<file> of a plain program of root; see proc(5). */
function procText(
  pid: number,
  argv: readonly string[] | undefined,
  file: Parameters<Processes['read']>[1],
): string | undefined {
  if (argv === undefined) return undefined;
  const name = (argv[0] ?? '').split('/').at(-1)?.slice(0, 15) ?? '';
  switch (file) {
    case 'stat':
      return `${pid} (${name}) S 1 ${pid} ${pid} 0 -1 4194304 ${'0 '.repeat(12)}${1000 + pid} 0 0\n`;
    case 'cmdline':
      return argv.map((word) => `${word}\0`).join('');
    case 'environ':
      return 'PATH=/usr/bin\0';
    case 'cgroup':
      return '0::/\n';
    case 'status':
      return 'Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n';
    case 'limits':
    case 'oom_score_adj':
    case 'auxv':
      return '';
    default:
      return file satisfies never;
  }
}

function scriptedNet(script: Script, stopped: () => boolean): Net {
  const refuse = (where: string) => systemError('ECONNREFUSED', 'connect', where);
  let breaksAfterBytes = script.breaksAfterBytes;
  return {
    request: async (request: HttpRequest): Promise<HttpResponse> => {
      if (stopped()) throw refuse(request.url);
      if (request.method === 'GET') {
        if (script.download === undefined) throw refuse(request.url);
        const range = /^bytes=(\d+)-(\d*)$/.exec(headerOf(request.headers, 'range') ?? '');
        const from = Number(range?.[1] ?? 0);
        const to = range?.[2] ? Number(range[2]) + 1 : undefined;
        script.onAsked(from, to);
        const reply = rangeReply(script.download, from, to);
        if (breaksAfterBytes === undefined) return reply;
        const body = broken(script.download.subarray(from, from + breaksAfterBytes), request.url);
        breaksAfterBytes = undefined;
        return { ...reply, body };
      }
      if (!script.answersReports) throw refuse(request.url);
      script.onReport(request.body ?? '');
      return { status: 200, headers: {}, body: chunks(Buffer.alloc(0)), discard: () => undefined };
    },
    connect: async (host, port) => {
      if (script.healthStatus !== 0) throw refuse(`${host}:${port}`);
    },
  };
}

/** RFC 9110 section 14, as far as a client that resumes asks for it. */
function rangeReply(content: Buffer, from: number, to: number | undefined): HttpResponse {
  const end = Math.min(to ?? content.length, content.length);
  const common = { etag: '"one"', 'accept-ranges': 'bytes', 'content-length': `${end - from}` };
  const discard = () => undefined;
  if (from === 0 && to === undefined) return { status: 200, headers: common, body: chunks(content), discard };
  if (from >= content.length)
    return {
      status: 416,
      headers: { 'content-range': `bytes */${content.length}` },
      body: chunks(Buffer.alloc(0)),
      discard,
    };
  const headers = { ...common, 'content-range': `bytes ${from}-${end - 1}/${content.length}` };
  return { status: 206, headers, body: chunks(content.subarray(from, end)), discard };
}

function headerOf(headers: HttpRequest['headers'], wanted: string): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

async function* broken(content: Buffer, url: string): AsyncGenerator<Uint8Array> {
  yield* chunks(content);
  throw systemError('ECONNRESET', 'read', url);
}

async function* chunks(content: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += 4096) yield content.subarray(at, at + 4096);
}
