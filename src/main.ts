/**
 * The program: argv -> command. Exit codes: exitCodes in cli/commands.ts.
 *
 * Invariant: the daemon loads nothing of the other commands, whose memory it would pay for; each is loaded when it is asked
 * for.
 */
import { type CommandInvocation, parseArguments } from './cli/arguments.ts';
import { CommandError } from './cli/failure.ts';
import { run } from './cli/run.ts';
import { UsageError } from './config.ts';

declare const TOPE_UPDATER_VERSION: string;

const version = typeof TOPE_UPDATER_VERSION === 'string' ? TOPE_UPDATER_VERSION : 'development';

/** Resolves with the exit status; `run` resolves when the daemon is up, and ends the program by itself. */
async function main(argv: readonly string[]): Promise<number> {
  const invocation = parseArguments(argv);
  switch (invocation.kind) {
    case 'help':
      process.stdout.write(invocation.text);
      return 0;
    case 'version':
      process.stdout.write(`tope-updater ${version}\n`);
      return 0;
    case 'command':
      return carryOut(invocation);
    default:
      return invocation satisfies never;
  }
}

async function carryOut(invocation: CommandInvocation): Promise<number> {
  switch (invocation.command) {
    case 'run':
      await run(invocation.flags, version);
      return 0;
    case 'status':
      return (await import('./cli/status.ts')).status(invocation);
    case 'install':
      return (await import('./cli/install.ts')).install(invocation);
    case 'rollback':
      return (await import('./cli/rollback.ts')).rollback(invocation);
    case 'cancel':
      return (await import('./cli/cancel.ts')).cancel(invocation);
    case 'history':
      return (await import('./cli/history.ts')).history(invocation);
    case 'doctor':
      return (await import('./cli/doctor.ts')).doctor(invocation);
    case 'support':
      return (await import('./cli/support.ts')).support(invocation, version);
    case 'pack':
      return (await import('./cli/pack.ts')).pack(invocation);
    case 'verify':
      return (await import('./cli/verify.ts')).verify(invocation);
    case 'init':
      return (await import('./cli/init.ts')).init(invocation);
    default:
      return invocation.command satisfies never;
  }
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (thrown: unknown) => {
    process.stderr.write(`tope-updater: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    if (thrown instanceof UsageError) process.exit(2);
    process.exit(thrown instanceof CommandError ? thrown.exitCode : 1);
  },
);
