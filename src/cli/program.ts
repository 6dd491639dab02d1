/** argv -> command; exit codes: commands.ts. Each command is loaded when it is asked for: the daemon would pay for the others in memory. */

import { writeFileSync } from 'node:fs';
import { UsageError } from '../config.ts';
import { errorText } from '../errors.ts';
import type { Memory } from '../host/host.ts';
import { printedLines } from '../printed.ts';
import { type CommandInvocation, parseArguments } from './arguments.ts';
import type { CommandName } from './commands.ts';
import { CommandError } from './failure.ts';

declare const TOPE_UPDATER_VERSION: string;

const version = typeof TOPE_UPDATER_VERSION === 'string' ? TOPE_UPDATER_VERSION : 'development';

/** Resolves with the exit status; `run` resolves when the daemon is up, and ends the program by itself. */
export async function program(argv: readonly string[], memory: Memory): Promise<number> {
  nameProcess();
  try {
    return await main(argv, memory);
  } catch (thrown) {
    process.stderr.write(`tope-updater: ${printedLines(errorText(thrown))}\n`);
    if (thrown instanceof UsageError) process.exit(2);
    process.exit(thrown instanceof CommandError ? thrown.exitCode : 1);
  }
}

/** What `ps` and `top` show: Node calls its main thread MainThread. */
function nameProcess(): void {
  try {
    writeFileSync('/proc/self/comm', 'tope-updater');
  } catch {
    // Without /proc the name stays as it is.
  }
}

async function main(argv: readonly string[], memory: Memory): Promise<number> {
  const invocation = parseArguments(argv);
  switch (invocation.kind) {
    case 'help':
      process.stdout.write(invocation.text);
      return 0;
    case 'version':
      process.stdout.write(`tope-updater ${version}\n`);
      return 0;
    case 'command':
      return carryOut[invocation.command](invocation, memory);
    default:
      return invocation satisfies never;
  }
}

/** Each loads its own code. */
const carryOut: Readonly<
  Record<CommandName, (invocation: CommandInvocation, memory: Memory) => Promise<number>>
> = {
  run: async ({ flags }, memory) => {
    await (await import('./run.ts')).run(flags, version, memory);
    return 0;
  },
  recover: async (invocation) => (await import('./recover.ts')).recover(invocation),
  status: async (invocation) => (await import('./status.ts')).status(invocation),
  install: async (invocation) => (await import('./install.ts')).install(invocation, version),
  rollback: async (invocation) => (await import('./rollback.ts')).rollback(invocation),
  cancel: async (invocation) => (await import('./cancel.ts')).cancel(invocation),
  history: async (invocation) => (await import('./history.ts')).history(invocation),
  audit: async (invocation) => (await import('./audit.ts')).audit(invocation),
  fleet: async (invocation) => (await import('./fleet.ts')).fleet(invocation),
  doctor: async (invocation) => (await import('./doctor.ts')).doctor(invocation),
  support: async (invocation) => (await import('./support.ts')).support(invocation, version),
  pack: async (invocation) => (await import('./pack.ts')).pack(invocation),
  verify: async (invocation) => (await import('./verify.ts')).verify(invocation),
  init: async (invocation) => (await import('./init.ts')).init(invocation),
};
