/** What /proc tells of the things that a process inherits, as ProcessTraits has them (proc(5)). Pure. */
import { rawBytes } from './raw-text.ts';

export interface StatusTraits {
  readonly umask: number | undefined;
  readonly cpus: string | undefined;
  readonly ambientCapabilities: string | undefined;
  readonly boundingCapabilities: string | undefined;
  readonly effectiveCapabilities: string | undefined;
  readonly noNewPrivileges: boolean;
}

/** Lines of /proc/<pid>/status; what an old kernel does not tell is undefined. */
export function parseStatusTraits(text: string): StatusTraits {
  const lines = new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line] as const));
  const value = (key: string, form: RegExp) => {
    const word =
      lines
        .get(key)
        ?.slice(key.length + 1)
        .trim() ?? '';
    return form.test(word) ? word : undefined;
  };
  const umask = value('Umask', /^0?[0-7]{3}$/);
  return {
    umask: umask === undefined ? undefined : Number.parseInt(umask, 8),
    cpus: value('Cpus_allowed_list', /^\d+([-,]\d+)*$/),
    ambientCapabilities: value('CapAmb', hexadecimal),
    boundingCapabilities: value('CapBnd', hexadecimal),
    effectiveCapabilities: value('CapEff', hexadecimal),
    noNewPrivileges: value('NoNewPrivs', /^\d$/) === '1',
  };
}

const hexadecimal = /^[0-9a-f]{1,16}$/;

/** The rows of /proc/<pid>/limits by prlimit(1)'s names. */
export function parseLimits(text: string): Record<string, readonly [soft: string, hard: string]> {
  const found: Record<string, readonly [string, string]> = {};
  for (const [title, name] of limitNames) {
    const [, soft, hard] = new RegExp(`^${title} +(\\d+|unlimited) +(\\d+|unlimited)`, 'm').exec(text) ?? [];
    if (soft !== undefined && hard !== undefined) found[name] = [soft, hard];
  }
  return found;
}

const limitNames = [
  ['Max cpu time', 'cpu'],
  ['Max file size', 'fsize'],
  ['Max data size', 'data'],
  ['Max stack size', 'stack'],
  ['Max core file size', 'core'],
  ['Max resident set', 'rss'],
  ['Max processes', 'nproc'],
  ['Max open files', 'nofile'],
  ['Max locked memory', 'memlock'],
  ['Max address space', 'as'],
  ['Max file locks', 'locks'],
  ['Max pending signals', 'sigpending'],
  ['Max msgqueue size', 'msgqueue'],
  ['Max nice priority', 'nice'],
  ['Max realtime priority', 'rtprio'],
  ['Max realtime timeout', 'rttime'],
] as const;

/** -1000 to 1000. */
export function parseOomScoreAdj(text: string): number {
  return /^-?\d{1,4}$/.test(text.trim()) ? Number(text) : 0;
}

/** Whether a program was given rights by its file (AT_SECURE of getauxval(3)), by /proc/<pid>/auxv: pairs of words of 4 or 8 bytes. */
export function isSecureExecution(text: string): boolean {
  const bytes = rawBytes(text);
  if (bytes.length < 8) return false;
  // A tag is a small number: eight bytes that are more hold two words.
  const isWide = bytes.readBigUInt64LE(0) < 1024n;
  const size = isWide ? 8 : 4;
  const word = (at: number) => (isWide ? Number(bytes.readBigUInt64LE(at)) : bytes.readUInt32LE(at));
  for (let at = 0; at + 2 * size <= bytes.length; at += 2 * size) {
    if (word(at) === secureTag) return word(at + size) !== 0;
  }
  return false;
}

const secureTag = 23;
