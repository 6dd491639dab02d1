/**
 * argv -> command. Exit codes: exitCodes in commands.ts.
 *
 * Invariant: the daemon loads nothing of the other commands, whose memory it would pay for; each is loaded when it is asked
 * for.
 */

import { writeFileSync } from 'node:fs';
import { UsageError } from '../config.ts';
import { errorText } from '../errors.ts';
import type { Memory } from '../host/host.ts';
import { type CommandInvocation, parseArguments } from './arguments.ts';
import { CommandError } from './failure.ts';
import { printedLines } from './printed.ts';

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
      return carryOut(invocation, memory);
    default:
      return invocation satisfies never;
  }
}

async function carryOut(invocation: CommandInvocation, memory: Memory): Promise<number> {
  switch (invocation.command) {
    case 'run':
      await (await import('./run.ts')).run(invocation.flags, version, memory);
      return 0;
    case 'recover':
      return (await import('./recover.ts')).recover(invocation);
    case 'status':
      return (await import('./status.ts')).status(invocation);
    case 'install':
      return (await import('./install.ts')).install(invocation, version);
    case 'rollback':
      return (await import('./rollback.ts')).rollback(invocation);
    case 'cancel':
      return (await import('./cancel.ts')).cancel(invocation);
    case 'history':
      return (await import('./history.ts')).history(invocation);
    case 'audit':
      return (await import('./audit.ts')).audit(invocation);
    case 'fleet':
      return (await import('./fleet.ts')).fleet(invocation);
    case 'doctor':
      return (await import('./doctor.ts')).doctor(invocation);
    case 'support':
      return (await import('./support.ts')).support(invocation, version);
    case 'pack':
      return (await import('./pack.ts')).pack(invocation);
    case 'verify':
      return (await import('./verify.ts')).verify(invocation);
    case 'init':
      return (await import('./init.ts')).init(invocation);
    default:
      return invocation.command satisfies never;
  }
}
