/**
 * The words of the table of commands: what a command and a flag are described by, and the flags that several commands
 * share. Pure.
 */
import { configFlag, type Option } from '../config.ts';

/** A flag as the help text shows it; `argument` is empty for a switch. */
export type FlagSpec = Pick<Option, 'flag' | 'kind' | 'argument' | 'doc'> & {
  readonly initial?: unknown;
  /** One letter, for `-o`. */
  readonly short?: string;
};

export interface CommandSpec {
  readonly summary: string;
  /** What follows the flags, as the usage line shows it; empty: nothing may. */
  readonly operands: string;
  readonly minOperands: number;
  readonly maxOperands: number;
  /** More than the summary says, in whole sentences. */
  readonly about: string;
  readonly flags: readonly FlagSpec[];
  /** A command line without the program's name, and what it does. */
  readonly examples: readonly (readonly [string, string])[];
}

export const connection: readonly FlagSpec[] = [
  {
    flag: 'url',
    kind: 'text',
    argument: 'URL',
    initial: 'http://127.0.0.1:12315',
    doc: 'address of the daemon',
  },
  {
    flag: 'socket',
    kind: 'text',
    argument: 'PATH',
    doc: 'unix socket of the daemon, where it listens on one',
  },
  {
    flag: 'token-file',
    kind: 'text',
    argument: 'FILE',
    doc: 'file with the token, where the daemon asks for one',
  },
];
export const json: FlagSpec = {
  flag: 'json',
  kind: 'switch',
  argument: '',
  doc: 'prints JSON, one value a line, for programs',
};
export const configOfDaemon: FlagSpec = {
  flag: configFlag,
  kind: 'text',
  argument: 'FILE',
  doc: 'configuration file of the daemon',
};
