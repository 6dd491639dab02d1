/** The help texts, made from the table of commands; 80 columns wide, because a serial console is. */
import type { CommandSpec, FlagSpec } from './command-spec.ts';
import { type CommandName, commands, exitCodes } from './commands.ts';

const width = 80;
const widestLeft = 26;

export function generalHelp(): string {
  const lines = Object.entries<CommandSpec>(commands).map(([name, { summary }]) => [name, summary] as const);
  return paragraphs([
    wrapped(
      'tope-updater: updates the programs of this device so that a power cut leaves all old or all new',
    ),
    ['usage: tope-updater COMMAND [FLAGS]'],
    columns(lines),
    columns([
      ['help COMMAND', 'the flags of a command, with examples; also COMMAND --help'],
      ['--version', 'the version of this program'],
    ]),
    ['exit status:'],
    columns(Object.entries(exitCodes)),
  ]);
}

export function commandHelp(name: CommandName): string {
  const spec: CommandSpec = commands[name];
  const flags = spec.flags.map((flag) => [flagUsage(flag), `${flag.doc}${flagNotes(flag)}`] as const);
  return paragraphs([
    wrapped(`tope-updater ${name}: ${spec.summary}`),
    [commandUsage(name)],
    wrapped(spec.about),
    columns(flags),
    ['examples:'],
    spec.examples.flatMap(([line, what]) => [`  tope-updater ${line}`, `      ${what}`]),
  ]);
}

/** `usage: tope-updater pack [FLAGS] DIR|manifest.json` */
export function commandUsage(name: CommandName): string {
  const { flags, operand }: CommandSpec = commands[name];
  return `usage: tope-updater ${name}${flags.length > 0 ? ' [FLAGS]' : ''}${operand === undefined ? '' : ` ${operand}`}`;
}

/** `-o, --output FILE`, as help and documentation write it. */
export function flagUsage({ flag, short, argument }: FlagSpec): string {
  const letters = short === undefined ? '' : `-${short}, `;
  return argument === '' ? `${letters}--${flag}` : `${letters}--${flag} ${argument}`;
}

/** ` (repeatable, default 12315)`, or nothing. */
export function flagNotes({ kind, initial }: FlagSpec): string {
  const isGiven =
    kind !== 'switch' && initial !== undefined && !(Array.isArray(initial) && initial.length === 0);
  const notes = [kind === 'list' ? 'repeatable' : '', isGiven ? `default ${String(initial)}` : ''];
  const said = notes.filter((note) => note !== '').join(', ');
  return said === '' ? '' : ` (${said})`;
}

/** Blank lines between the parts, except after one that ends with a colon. */
function paragraphs(parts: readonly (readonly string[])[]): string {
  const lines = parts
    .filter((part) => part.length > 0)
    .flatMap((part) => (part.at(-1)?.endsWith(':') ? part : [...part, '']));
  return `${lines.slice(0, -1).join('\n')}\n`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(widestLeft, Math.max(...rows.map(([first]) => first.length)));
  return rows.flatMap(([first, second]) => {
    const [line = '', ...rest] = wrapped(second, width - left - 4);
    const indent = ' '.repeat(left + 4);
    const more = rest.map((text) => indent + text);
    if (first.length > left) return [`  ${first}`, indent + line, ...more];
    return [`  ${first.padEnd(left)}  ${line}`, ...more];
  });
}

function wrapped(text: string, columnsWide = width): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columnsWide)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
