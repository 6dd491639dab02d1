/** The command line: argv in, one invocation out. What commands and flags there are stands in commands.ts. */

import { parseArgs } from 'node:util';
import { type Flags, UsageError } from '../config.ts';
import { errorText } from '../errors.ts';
import { suggestion } from '../nearest.ts';
import type { CommandSpec, FlagSpec } from './command-spec.ts';
import { type CommandName, commands } from './commands.ts';
import { commandHelp, generalHelp } from './help.ts';

/** What the command line asks a command for. */
export interface CommandInvocation {
  readonly kind: 'command';
  readonly command: CommandName;
  readonly flags: Flags;
  readonly operands: readonly string[];
}

export type Invocation =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | CommandInvocation;

/** `argv` without the program's own path. Throws a UsageError that names the unknown command or flag. */
export function parseArguments(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === '--help' || first === '-h' || first === 'help') return help(rest);
  if (first === '--version' || first === '-V') return { kind: 'version' };
  if (first === undefined) throw new UsageError(`no command given\n\n${generalHelp()}`);
  if (first.startsWith('-')) throw new UsageError(`a command comes first, not "${first}" (${seeHelp()})`);
  if (!isCommand(first)) throw unknownCommand(first);
  return parseCommand(first, rest);
}

/** `help`, or `help COMMAND`. */
function help([command, extra]: readonly string[]): Invocation {
  if (command === undefined) return { kind: 'help', text: generalHelp() };
  if (!isCommand(command)) throw unknownCommand(command);
  if (extra !== undefined) throw new UsageError(`help: unexpected argument "${extra}" (${seeHelp()})`);
  return { kind: 'help', text: commandHelp(command) };
}

function unknownCommand(name: string): UsageError {
  return new UsageError(`unknown command "${name}"${suggestion(name, Object.keys(commands))} (${seeHelp()})`);
}

function parseCommand(command: CommandName, argv: readonly string[]): Invocation {
  const spec: CommandSpec = commands[command];
  const { values, positionals } = parseFlags(command, spec, argv);
  if (values.help === true) return { kind: 'help', text: commandHelp(command) };
  const { operand } = spec;
  const extra = positionals[operand === undefined ? 0 : 1];
  if (extra !== undefined)
    throw new UsageError(`${command}: unexpected argument "${extra}" (${seeHelp(command)})`);
  if (operand?.startsWith('[') === false && positionals.length === 0)
    throw new UsageError(`${command}: ${operand} is missing (${seeHelp(command)})`);
  return { kind: 'command', command, flags: values, operands: positionals };
}

function parseFlags(command: CommandName, spec: CommandSpec, argv: readonly string[]) {
  const known = spec.flags.map((flag) => [flag.flag, optionOf(flag)] as const);
  try {
    const help = { type: 'boolean', short: 'h' } as const;
    return parseArgs({
      args: [...argv],
      options: { ...Object.fromEntries(known), help },
      allowPositionals: true,
    }) as { values: Flags; positionals: string[] };
  } catch (thrown) {
    // Node's first sentence names the flag and what is wrong with it; the rest explains its own library.
    const [sentence = ''] = errorText(thrown).split(/\. |\n/, 1);
    const dashed = /^Option '(?:-\w, )?(--[^' ]+).* is ambiguous/.exec(sentence)?.[1];
    if (dashed !== undefined)
      throw new UsageError(
        `${command}: ${dashed} is given no value (one that begins with a dash is written ${dashed}=-VALUE; ${seeHelp(command)})`,
        { cause: thrown },
      );
    const unknown = /^Unknown option '--([^'=]*)/.exec(sentence)?.[1];
    const meant = suggestion(unknown ?? '', [...spec.flags.map(({ flag }) => flag), 'help'], '--');
    throw new UsageError(`${command}: ${sentence}${meant} (${seeHelp(command)})`, { cause: thrown });
  }
}

function optionOf({ kind, short }: FlagSpec) {
  const type = kind === 'switch' ? ('boolean' as const) : ('string' as const);
  return { type, multiple: kind === 'list', ...(short === undefined ? {} : { short }) };
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

function seeHelp(command?: CommandName): string {
  return `see tope-updater ${command === undefined ? '' : `${command} `}--help`;
}
