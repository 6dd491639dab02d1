/**
 * The shell script that becomes a started program. Pure. It comes on the standard input of a `/bin/sh -s` that runs as the
 * program's user, so nothing that a process had is seen by a wrapper that runs as root, nor by others in a command line. In
 * braces: a shell reads it to its end before it does any of it.
 */
import { rawBytes } from './raw-text.ts';

export interface ScriptFacts {
  /** What is executed: a path, or a name to be looked for in the program's own PATH. */
  readonly program: string;
  /** argv[0], where it is another text than `program`. */
  readonly name: string | undefined;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly umask: number;
  readonly stdout: string | undefined;
  readonly stderr: string | undefined;
  /** Path of env(1), for variables that a shell cannot or will not set; without it they are lost. */
  readonly envTool: string | undefined;
  /** A word of env's command line: who looks for the program knows by it that this is not the program yet. */
  readonly marker: string;
}

export function launchScript(facts: ScriptFacts): Buffer {
  const entries = Object.entries(facts.env);
  const plain = entries.filter(([name]) => isShellVariable(name));
  const odd = entries.filter(([name]) => !isShellVariable(name));
  const lines = [
    '{',
    `umask ${facts.umask.toString(8).padStart(4, '0')}`,
    `d=${quoted(facts.cwd)}`,
    // Where its user may not go (or nothing is) any more: the nearest directory above.
    `while ! cd -- "$d" 2>/dev/null && [ "$d" != / ]; do d=\${d%/*}; d=\${d:-/}; done`,
    ...redirection(1, facts.stdout),
    ...redirection(2, facts.stderr),
    'unset d PATH PWD OLDPWD SHLVL _',
    ...plain.map(([name, value]) => `export ${name}=${quoted(value)}`),
    `exec ${commandOf(facts, odd)} </dev/null`,
    '}',
    '',
  ];
  return rawBytes(lines.join('\n'));
}

function commandOf(facts: ScriptFacts, odd: readonly (readonly [string, string])[]): string {
  const words = [facts.program, ...facts.args].map(quoted);
  // `exec -a` is known to bash and to newer shells of busybox only; env(1) and a name of one's own exclude each other.
  if (facts.name !== undefined) return `-a ${quoted(facts.name)} ${words.join(' ')}`;
  if (facts.envTool === undefined) return words.join(' ');
  const settings = odd.map(([name, value]) => quoted(`${name}=${value}`));
  return [quoted(facts.envTool), '-u', quoted(facts.marker), ...unsetOf(odd), ...settings, ...words].join(
    ' ',
  );
}

/** Shells set these by themselves in what they execute. */
function unsetOf(odd: readonly (readonly [string, string])[]): string[] {
  return shellsOwn.filter((name) => !odd.some(([other]) => other === name)).flatMap((name) => ['-u', name]);
}

const shellsOwn = ['PWD', 'OLDPWD', 'SHLVL', '_'];
/** Read-only in one shell or another. */
const readOnly = /^(UID|EUID|PPID|BASHOPTS|SHELLOPTS|BASH_.*|GROUPS|IFS|OPTIND|LINENO)$/;

function isShellVariable(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !shellsOwn.includes(name) && !readOnly.test(name);
}

/** As the program's own user; what it may not open stays what it was given, the updater's log of it. */
function redirection(descriptor: 1 | 2, path: string | undefined): string[] {
  if (path === undefined) return [];
  const file = quoted(path);
  return [
    `if { [ -f ${file} ] || [ -c ${file} ]; } && ( : >>${file} ) 2>/dev/null; then exec ${descriptor}>>${file}; fi`,
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
