/**
 * Writes what is made of the table of commands (src/cli/commands.ts): the manual page deploy/tope-updater.8, the shell
 * completion deploy/completion.bash, and docs/command-line.md.
 *
 * Usage: tsx build/command-pages.ts
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandSpec, FlagSpec } from '../src/cli/command-spec.ts';
import { commands, exitCodes } from '../src/cli/commands.ts';
import { commandUsage, flagNotes, flagUsage } from '../src/cli/help.ts';

const all = Object.entries<CommandSpec>(commands) as [keyof typeof commands, CommandSpec][];
const intro =
  'updates the programs of an embedded device so that a power cut leaves all of the old or all of the new';

/** Path below the project -> content. */
export function commandPages(): Record<string, string> {
  return {
    'deploy/tope-updater.8': manualPage(),
    'deploy/completion.bash': bashCompletion(),
    'docs/command-line.md': markdownPage(),
  };
}

// ---------------------------------------------------------------------------------------------- manual page

function manualPage(): string {
  return `${[
    '.\\" Made by build/command-pages.ts from src/cli/commands.ts.',
    `.TH TOPE\\-UPDATER 8 "" "tope\\-updater" "System administration"`,
    '.SH NAME',
    `tope\\-updater \\- ${roff(intro)}`,
    '.SH SYNOPSIS',
    '.B tope\\-updater',
    '.I COMMAND',
    '.RI [ FLAGS ]',
    '.SH COMMANDS',
    ...all.flatMap(([name, spec]) => manualCommand(name, spec)),
    '.SH EXIT STATUS',
    ...Object.entries(exitCodes).flatMap(([code, meaning]) => ['.TP', `.B ${code}`, roff(meaning)]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B NO_COLOR',
    'Not empty: no colour on a terminal. In a pipe there never is any.',
    '.TP',
    '.BR HTTP_PROXY ", " HTTPS_PROXY ", " NO_PROXY',
    'Proxies for downloads, upper or lower case.',
    '.SH FILES',
    '.TP',
    '.I /opt/tope/updater',
    'The usual work directory: tmp/state.json, logs/updater.log, backups/.',
    '.TP',
    '.I /etc/default/tope\\-updater',
    'TOPE_UPDATER_OPTIONS: flags of the daemon that systemd starts.',
  ].join('\n')}\n`;
}

function manualCommand(name: keyof typeof commands, spec: CommandSpec): string[] {
  return [
    `.SS ${roff(commandUsage(name).replace('usage: ', ''))}`,
    roff(`${sentence(spec.summary)} ${spec.about}`),
    ...spec.flags.flatMap((flag) => [
      '.TP',
      `.B ${roff(flagUsage(flag))}`,
      roff(sentence(`${flag.doc}${flagNotes(flag)}`)),
    ]),
    ...spec.examples.flatMap(([line, what]) => [
      '.PP',
      `${roff(sentence(what))}`,
      '.PP',
      '.nf',
      `    ${roff(`tope-updater ${line}`)}`,
      '.fi',
    ]),
  ];
}

/** A dash that stays a dash when it is copied, and no line that looks like a request. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}

// ---------------------------------------------------------------------------------------------- completion

function bashCompletion(): string {
  const byCommand = all.map(([name, { flags }]) => `    ${name}) flags='${flagWords(flags)}' ;;`);
  const valued = all.flatMap(([, { flags }]) => flags).filter(({ kind }) => kind !== 'switch');
  const wanting = (pattern: RegExp) => words(valued.filter(({ argument }) => pattern.test(argument)));
  return `# bash completion of tope-updater. Made by build/command-pages.ts from src/cli/commands.ts.
# Use: put it into /usr/share/bash-completion/completions/tope-updater, or source it.

_tope_updater() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} flags=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W '${all.map(([name]) => name).join(' ')} --help --version' -- "$current")
    return
  fi
  case $previous in
    ${wanting(/^DIR$/).join(' | ')})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    ${wanting(/FILE|PATH|KEY/).join(' | ')})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    ${wanting(/^(?!DIR$)(?!.*(FILE|PATH|KEY))/).join(' | ')})
      return
      ;;
  esac
  case \${COMP_WORDS[1]} in
${byCommand.join('\n')}
  esac
  case $current in
    -*) mapfile -t COMPREPLY < <(compgen -W "$flags --help" -- "$current") ;;
    *)
      case \${COMP_WORDS[1]} in
        ${operandCommands(/DIR|FILE|PACKAGE/).join(' | ')})
          compopt -o filenames 2>/dev/null
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
          ;;
      esac
      ;;
  esac
}
complete -F _tope_updater tope-updater
`;
}

function flagWords(flags: readonly FlagSpec[]): string {
  return flags.map(({ flag }) => `--${flag}`).join(' ');
}

/** Long and short forms, each once. */
function words(flags: readonly FlagSpec[]): string[] {
  const forms = flags.flatMap(({ flag, short }) => [
    `--${flag}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);
  return [...new Set(forms)];
}

function operandCommands(pattern: RegExp): string[] {
  return all.filter(([, { operand = '' }]) => pattern.test(operand)).map(([name]) => name);
}

// ---------------------------------------------------------------------------------------------- markdown

function markdownPage(): string {
  const rows = all.map(([name, { summary }]) => `| [\`${name}\`](#${name}) | ${summary} |`);
  const codes = Object.entries(exitCodes).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return `# The command line

\`tope-updater COMMAND [FLAGS]\`. \`tope-updater COMMAND --help\` tells the same as this page; \`deploy/tope-updater.8\` is the
manual page, \`deploy/completion.bash\` completes commands and flags in bash.

| command | what for |
|---|---|
${rows.join('\n')}

| exit status | meaning |
|---|---|
${codes.join('\n')}

What was asked for goes to stdout, errors go to stderr. Colour and lines that are redrawn appear on a terminal only; \`NO_COLOR\`
turns colour off there too. A flag of \`run\` is described in [configuration.md](configuration.md).

${all.map(([name, spec]) => markdownCommand(name, spec)).join('\n')}
<!-- Made by build/command-pages.ts from the table in src/cli/commands.ts. -->
`;
}

function markdownCommand(name: keyof typeof commands, spec: CommandSpec): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const flags = spec.flags.map(
    (flag) => `| \`${cell(flagUsage(flag))}\` | ${cell(`${flag.doc}${flagNotes(flag)}`)} |`,
  );
  const table = flags.length === 0 ? [] : ['| flag | meaning |', '|---|---|', ...flags, ''];
  return [
    `## ${name}`,
    '',
    `\`${commandUsage(name).replace('usage: ', '')}\``,
    '',
    `${sentence(spec.summary)} ${spec.about}`,
    '',
    ...table,
    '```sh',
    ...spec.examples.flatMap(([line, what]) => [`# ${what}`, `tope-updater ${line}`]),
    '```',
    '',
  ].join('\n');
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [path, content] of Object.entries(commandPages()))
    writeFileSync(join(import.meta.dirname, '..', path), content);
}
