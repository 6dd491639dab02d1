/** What a command and a flag are described by, and the flags that several commands share. Pure. */
import { configFlag, type Option } from '../config.ts';

/** A flag as the help text shows it; `argument` is empty for a switch. */
export type FlagSpec = Pick<Option, 'flag' | 'kind' | 'argument' | 'doc'> & {
  readonly initial?: unknown;
  /** One letter, for `-o`. */
  readonly short?: string;
};

export interface CommandSpec {
  readonly summary: string;
  /** What follows the flags, one word as the usage line shows it: `[...]` may be left out. Absent: nothing may follow. */
  readonly operand?: string;
  /** More than the summary says, in whole sentences. */
  readonly about: string;
  readonly flags: readonly FlagSpec[];
  /** A command line without the program's name, and what it does. */
  readonly examples: readonly (readonly [string, string])[];
}

/** `usage`: flag and argument as they are written, `output FILE`; without an argument it is a switch. */
export function flag(
  usage: string,
  doc: string,
  more: Partial<Pick<FlagSpec, 'kind' | 'short' | 'initial'>> = {},
): FlagSpec {
  const [name = '', argument = ''] = usage.split(' ');
  return { flag: name, kind: argument === '' ? 'switch' : 'text', argument, doc, ...more };
}

export const connection: readonly FlagSpec[] = [
  flag('url URL', 'address of the daemon', { initial: 'http://127.0.0.1:12315' }),
  flag('socket PATH', 'unix socket of the daemon, if it listens on one'),
  flag('token-file FILE', 'file with the token, if the daemon asks for one'),
];
export const json: FlagSpec = flag('json', 'prints JSON, one value a line, for programs');
export const configOfDaemon: FlagSpec = {
  flag: configFlag,
  kind: 'text',
  argument: 'FILE',
  doc: 'configuration file of the daemon',
};
