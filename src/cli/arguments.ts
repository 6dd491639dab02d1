/**
 * The command line: argv in, one invocation out, and the help texts. A command is one entry of the table below; the
 * flags of `run` are those of config.ts.
 */
import { parseArgs } from 'node:util';
import { configFlag, type Flags, type Option, options, UsageError } from '../config.ts';

/** A flag as the help text shows it; `argument` is empty for a switch. */
export type FlagSpec = Pick<Option, 'flag' | 'kind' | 'argument' | 'doc'> & { readonly initial?: unknown };

interface CommandSpec {
  readonly summary: string;
  /** What follows the flags, as the usage line shows it; empty: nothing may. */
  readonly operands: string;
  readonly maxOperands: number;
  readonly flags: readonly FlagSpec[];
}

const commands = {
  run: {
    summary: 'the daemon: serves the API, downloads and installs updates',
    operands: '',
    maxOperands: 0,
    flags: [
      ...Object.values<Option>(options),
      {
        flag: configFlag,
        kind: 'text',
        argument: 'FILE',
        doc: 'JSON file with the same settings; flags win over it',
      },
    ],
  },
} as const satisfies Record<string, CommandSpec>;

export type CommandName = keyof typeof commands;

export type Invocation =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'command';
      readonly command: CommandName;
      readonly flags: Flags;
      readonly operands: readonly string[];
    };

/** `argv` without the program's own path. Throws a UsageError that names the unknown command or flag. */
export function parseArguments(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === '--help' || first === '-h' || first === 'help') return { kind: 'help', text: generalHelp() };
  if (first === '--version' || first === '-V') return { kind: 'version' };
  if (first === undefined) throw new UsageError(`no command given\n\n${generalHelp()}`);
  if (first.startsWith('-')) throw new UsageError(`a command comes first, not "${first}" (${seeHelp()})`);
  if (!isCommand(first)) throw new UsageError(`unknown command "${first}" (${seeHelp()})`);
  return parseCommand(first, rest);
}

function parseCommand(command: CommandName, argv: readonly string[]): Invocation {
  const spec: CommandSpec = commands[command];
  const { values, positionals } = parseFlags(command, spec, argv);
  if (values.help === true) return { kind: 'help', text: commandHelp(command, spec) };
  const extra = positionals[spec.maxOperands];
  if (extra !== undefined)
    throw new UsageError(`${command}: unexpected argument "${extra}" (${seeHelp(command)})`);
  return { kind: 'command', command, flags: values, operands: positionals };
}

function parseFlags(command: CommandName, spec: CommandSpec, argv: readonly string[]) {
  const known = spec.flags.map(({ flag, kind }) => {
    const type = kind === 'switch' ? ('boolean' as const) : ('string' as const);
    return [flag, { type, multiple: kind === 'list' }] as const;
  });
  try {
    const help = { type: 'boolean', short: 'h' } as const;
    return parseArgs({
      args: [...argv],
      options: { ...Object.fromEntries(known), help },
      allowPositionals: true,
    }) as { values: Flags; positionals: string[] };
  } catch (thrown) {
    // Node's first sentence names the flag and what is wrong with it; the rest explains its own library.
    const [sentence = ''] = (thrown instanceof Error ? thrown.message : String(thrown)).split(/\. |\n/, 1);
    throw new UsageError(`${command}: ${sentence} (${seeHelp(command)})`, { cause: thrown });
  }
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

function seeHelp(command?: CommandName): string {
  return `see tope-updater ${command === undefined ? '' : `${command} `}--help`;
}

function generalHelp(): string {
  const lines = Object.entries<CommandSpec>(commands).map(([name, { summary }]) => [name, summary] as const);
  return [
    'tope-updater: updates the programs of this device so that a power cut leaves all of the old or all of the new',
    '',
    'usage: tope-updater COMMAND [FLAGS]',
    '',
    ...columns(lines),
    '',
    ...columns([
      ['COMMAND --help', 'the flags of a command'],
      ['--version', 'the version of this program'],
    ]),
  ].join('\n');
}

function commandHelp(name: CommandName, spec: CommandSpec): string {
  const lines = spec.flags.map((flag) => [flagUsage(flag), `${flag.doc}${flagNotes(flag)}`] as const);
  const operands = spec.operands === '' ? '' : ` ${spec.operands}`;
  return [
    `tope-updater ${name}: ${spec.summary}`,
    '',
    `usage: tope-updater ${name} [FLAGS]${operands}`,
    '',
    ...columns(lines),
  ].join('\n');
}

/** `--port PORT`, as help and documentation write it. */
export function flagUsage({ flag, argument }: FlagSpec): string {
  return argument === '' ? `--${flag}` : `--${flag} ${argument}`;
}

function flagNotes({ kind, initial }: FlagSpec): string {
  const isGiven =
    initial !== undefined && initial !== false && !(Array.isArray(initial) && initial.length === 0);
  const notes = [kind === 'list' ? 'repeatable' : '', isGiven ? `default ${String(initial)}` : ''];
  const said = notes.filter((note) => note !== '').join(', ');
  return said === '' ? '' : ` (${said})`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
