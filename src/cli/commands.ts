/**
 * The commands as data, of which help, manual, shell completion and docs/command-line.md are made. Pure; no code of any command,
 * for which `run` would pay.
 */
import { deviceCommands } from './device-commands.ts';
import { packagingCommands } from './packaging-commands.ts';

/** `audit`: there are files that are not as they were deployed. */
export const differsExitCode = 4;

/** What the program's exit status means, for every command. */
export const exitCodes = {
  0: 'done',
  1: 'refused or failed; the reason is on stderr',
  2: 'wrong use: an unknown command or flag, a bad value',
  3: 'no daemon answers',
  [differsExitCode]: 'audit: deployed files have changed or are missing',
} as const;

export const commands = { ...deviceCommands, ...packagingCommands } as const;

export type CommandName = keyof typeof commands;
