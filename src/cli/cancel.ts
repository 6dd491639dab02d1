/** `tope-updater cancel`: stops a download, or discards a package that waits. */
import type { CommandInvocation } from './arguments.ts';
import { clientOf } from './client.ts';
import { isSet } from './flags.ts';
import { createOutput } from './output.ts';
import { plainLine } from './progress-view.ts';

export async function cancel({ flags }: CommandInvocation): Promise<number> {
  const client = await clientOf(flags);
  const before = await client.current();
  const stage = await client.cancel();
  const output = createOutput(process.stdout, process.env);
  const said =
    before.stage === stage ? `there is nothing to cancel: ${plainLine(before)}` : `cancelled, now ${stage}`;
  output.line(isSet(flags, 'json') ? JSON.stringify({ status: stage }) : said);
  return 0;
}
