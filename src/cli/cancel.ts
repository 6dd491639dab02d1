/** `tope-updater cancel`: stops a download, or discards a package that waits. */
import type { CommandInvocation } from './arguments.ts';
import { clientOf } from './client.ts';
import { isSet } from './flags.ts';
import { createOutput } from './output.ts';

export async function cancel({ flags }: CommandInvocation): Promise<number> {
  const stage = await (await clientOf(flags)).cancel();
  const output = createOutput(process.stdout, process.env);
  output.line(isSet(flags, 'json') ? JSON.stringify({ status: stage }) : `cancelled, now ${stage}`);
  return 0;
}
