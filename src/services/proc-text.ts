/** Reads the text of /proc/<pid>/* (proc(5)), which processes choose themselves: nothing here throws on it. Pure. */
import { basename } from 'node:path';
import { limits } from '../limits.ts';

export interface ProcStat {
  /** May hold spaces and parentheses; the kernel cuts it at 15 bytes. */
  readonly comm: string;
  readonly parentPid: number;
  /** Ended with all its threads, and only waiting for its parent to ask how. */
  readonly isZombie: boolean;
  readonly isKernelThread: boolean;
  /** Clock ticks since boot, as printed: with the pid it names a process for good. */
  readonly startTime: string;
  /** -20 to 19. */
  readonly nice: number;
}

/** One line `pid (comm) state ppid ...`; undefined when it is not that. */
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  // Field 3 (state) is the first after the name.
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/);
  const [state, parentPid, flags, startTime] = [fields[0], fields[1], fields[6], fields[19]];
  const [nice, threads] = [Number(fields[16]), Number(fields[17])];
  if (state === undefined || !isDigits(parentPid) || !isDigits(flags) || !isDigits(startTime))
    return undefined;
  return {
    comm: text.slice(open + 1, close),
    parentPid: Number(parentPid),
    isZombie: (state === 'Z' && !(threads > 1)) || state === 'X' || state === 'x',
    // PF_KTHREAD of include/linux/sched.h.
    isKernelThread: (Number(flags) & 0x00200000) !== 0,
    startTime,
    nice: nice >= -20 && nice <= 19 ? nice : 0,
  };
}

/** The arguments, each ended by a NUL; empty for kernel threads and zombies. */
export function parseCmdline(text: string): string[] {
  if (text === '') return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
}

/** `NAME=value` pairs, each ended by a NUL; what is not such a pair is left out. */
export function parseEnviron(text: string): Record<string, string> {
  const pairs = text.split('\0').flatMap((entry): [string, string][] => {
    const equals = entry.indexOf('=');
    return equals > 0 ? [[entry.slice(0, equals), entry.slice(equals + 1)]] : [];
  });
  return Object.fromEntries(pairs);
}

export interface ProcOwner {
  readonly uid: number;
  readonly gid: number;
  readonly groups: number[];
}

/** The lines Uid, Gid and Groups of /proc/<pid>/status: real ids, so that whoever ran a set-uid program is its owner. */
export function parseStatusOwner(text: string): ProcOwner | undefined {
  const numbers = (key: string) => {
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${key}:`));
    const words =
      line
        ?.slice(key.length + 1)
        .trim()
        .split(/\s+/) ?? [];
    return words.filter(isDigits).map(Number);
  };
  const [uid] = numbers('Uid');
  const [gid] = numbers('Gid');
  return uid === undefined || gid === undefined ? undefined : { uid, gid, groups: numbers('Groups') };
}

/**
 * The system service unit of a process, from /proc/<pid>/cgroup: the line of systemd's own hierarchy (v1, `N:name=systemd:PATH`)
 * or the unified one (v2, `0::PATH`). Undefined for scopes, and for a user's own services, which the system's systemctl cannot
 * stop.
 */
export function owningUnit(text: string): string | undefined {
  const lines = text.split('\n');
  return ['name=systemd', '']
    .map((controller) => lines.find((line) => new RegExp(`^\\d+:${controller}:/`).test(line)))
    .map((line) => unitOfPath(line?.slice(line.indexOf(':/') + 1) ?? ''))
    .find((unit) => unit !== undefined);
}

function unitOfPath(path: string): string | undefined {
  // The first unit on the way down is the system manager's; below it are a user manager's units or delegated groups.
  const name = path.split('/').find((part) => part.endsWith('.service') || part.endsWith('.scope'));
  // systemd escapes a name that could be taken for a kernel file with a leading underscore.
  const unit = name?.startsWith('_') ? name.slice(1) : name;
  if (unit === undefined || unit.length > 255 || unit.startsWith('user@')) return undefined;
  return /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.service$/.test(unit) ? unit : undefined;
}

/** Whether a process runs in the scope of its own that an updater asks systemd for (systemd-run --scope, host/proc-chain.ts). */
export function isUpdaterScope(text: string): boolean {
  return /^\d+:(name=systemd)?:\/system\.slice\/run-[A-Za-z0-9]+\.scope$/m.test(text);
}

/** What /proc says about the program a process runs. */
export interface ProcNames {
  readonly comm: string;
  readonly argv: readonly string[];
  /** Target of the exe link, undefined when it is closed to us. */
  readonly exe: string | undefined;
}

/** Whether a process goes by `name` (spec section 6): base name of argv[0], the executable, or an interpreter's script, or comm, cut at 15 bytes. */
export function isNamed(process: ProcNames, name: string): boolean {
  const fullNames = [
    basename(process.argv[0] ?? ''),
    basename(withoutDeleted(process.exe ?? '')),
    ...scriptNames(process.argv),
  ];
  if (fullNames.includes(name)) return true;
  // A full name that the kernel would cut to this comm tells what the whole name is, and it is another one.
  return process.comm === cutName(name) && !fullNames.some((full) => cutName(full) === process.comm);
}

/** The name a command line is found by once it runs: its script's or its program's; none for mere program text. */
export function commandName(argv: readonly string[]): string | undefined {
  const program = basename(argv[0] ?? '');
  return interpreterOf(argv) === undefined ? program || undefined : scriptNames(argv)[0];
}

/** What an interpreter runs, where its `comm` does not tell that; undefined as well where it is too long to be a name. */
export function scriptBeside(comm: string, argv: readonly string[]): string | undefined {
  const [script] = scriptNames(argv);
  const isToldAlready = script === undefined || cutName(script) === comm;
  return isToldAlready || Buffer.byteLength(script) > limits.nameBytes ? undefined : script;
}

/** The kernel marks a path whose file has been replaced or removed since. */
export function withoutDeleted(path: string): string {
  return path.endsWith(' (deleted)') ? path.slice(0, -' (deleted)'.length) : path;
}

interface Interpreter {
  readonly program: RegExp;
  /** Options whose value is the next word. */
  readonly withValue: RegExp;
  /** What follows is program text, not a file. */
  readonly isText: RegExp;
  /** What follows is the name of a module. */
  readonly isModule?: RegExp;
}

const interpreters: readonly Interpreter[] = [
  {
    program: /^(python|pypy)[\d.]*$/,
    withValue: /^(-[A-Za-z]*[WXQ]|--check-hash-based-pycs)$/,
    isText: /^-[A-Za-z]*c$/,
    isModule: /^-[A-Za-z]*m$/,
  },
  {
    program: /^(node|nodejs)[\d.]*$/,
    withValue:
      /^(-r|-C|--(require|import|loader|experimental-loader|conditions|env-file|title|inspect-port))$/,
    isText: /^(-[A-Za-z]*[ep]|--eval|--print)$/,
  },
  { program: /^perl[\d.]*$/, withValue: /^-[IMm]$/, isText: /^-[A-Za-z]*[eE]$/ },
  { program: /^ruby[\d.]*$/, withValue: /^-[rIEC]$/, isText: /^-[A-Za-z]*e$/ },
  { program: /^lua[\d.]*$/, withValue: /^-l$/, isText: /^-e$/ },
  {
    program: /^(ba|da|a|k|z)?sh[\d.]*$/,
    withValue: /^([-+][A-Za-z]*[oO]|--rcfile|--init-file)$/,
    isText: /^-[A-Za-z]*c$/,
  },
];

function interpreterOf(argv: readonly string[]): Interpreter | undefined {
  const program = basename(argv[0] ?? '').replace(/^-/, '');
  return interpreters.find((each) => each.program.test(program));
}

/** Whether one that an interpreter runs has written a title over its command line: what it was started with cannot be known any more. */
export function hasLostCommand({ argv, exe }: ProcNames): boolean {
  const isTitle = argv.slice(1).every((word) => word === '');
  return (
    isTitle && interpreterOf([withoutDeleted(exe ?? '')]) !== undefined && interpreterOf(argv) === undefined
  );
}

function scriptNames(argv: readonly string[]): string[] {
  const interpreter = interpreterOf(argv);
  if (interpreter === undefined) return [];
  const words = argv[Symbol.iterator]();
  words.next();
  for (let word = words.next(); !word.done; word = words.next()) {
    if (interpreter.isText.test(word.value)) return [];
    if (interpreter.isModule?.test(word.value)) return namesOf(String(words.next().value ?? ''));
    if (interpreter.withValue.test(word.value)) words.next();
    else if (!/^[-+]./.test(word.value)) return namesOf(word.value);
  }
  return [];
}

/** With and without its ending. */
function namesOf(script: string): string[] {
  const name = basename(script);
  const stem = name.replace(/\.(py|[cm]?js|[cm]?ts|sh|pl|rb|lua)$/, '');
  return [...new Set([name, stem])].filter((each) => each !== '' && each !== '-');
}

/** TASK_COMM_LEN of the kernel is 16 with its final NUL. */
function cutName(name: string): string {
  const bytes = new TextEncoder().encode(name);
  return bytes.length <= 15 ? name : new TextDecoder().decode(bytes.subarray(0, 15));
}

function isDigits(word: string | undefined): word is string {
  return word !== undefined && /^\d{1,20}$/.test(word);
}
