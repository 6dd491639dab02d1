/** `tope-updater rollback`: puts back what was there before the last update, or before the named one. */
import { realClock } from '../host/clock.ts';
import type { CommandInvocation } from './arguments.ts';
import { askFirst, followToEnd } from './carry-out.ts';
import { clientOf } from './client.ts';
import { isSet } from './flags.ts';
import { createOutput } from './output.ts';

export async function rollback(invocation: CommandInvocation): Promise<number> {
  const { flags, operands } = invocation;
  const [version] = operands;
  const client = await clientOf(flags);
  const [newest] = await client.history();
  const what = version === undefined ? 'the last update' : `${version} and every update after it`;
  await askFirst(invocation, `Take ${what} back on this device?`);
  await client.rollback(version);
  const output = createOutput(process.stdout, process.env);
  const isJson = isSet(flags, 'json');
  await followToEnd({ client, output, clock: realClock(), isJson }, newest);
  return 0;
}
