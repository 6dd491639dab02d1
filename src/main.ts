/** The program: argv -> command. Exit codes: 0 done, 1 failed, 2 wrong use. */
import { parseArguments } from './cli/arguments.ts';
import { run } from './cli/run.ts';
import { UsageError } from './config.ts';

declare const TOPE_UPDATER_VERSION: string;

const version = typeof TOPE_UPDATER_VERSION === 'string' ? TOPE_UPDATER_VERSION : 'development';

async function main(argv: readonly string[]): Promise<void> {
  const invocation = parseArguments(argv);
  switch (invocation.kind) {
    case 'help':
      process.stdout.write(invocation.text);
      return;
    case 'version':
      process.stdout.write(`tope-updater ${version}\n`);
      return;
    case 'command':
      switch (invocation.command) {
        case 'run':
          return run(invocation.flags, version);
        default:
          return invocation.command satisfies never;
      }
    default:
      return invocation satisfies never;
  }
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
  const isUsage = thrown instanceof UsageError;
  process.stderr.write(`tope-updater: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exit(isUsage ? 2 : 1);
});
