/** `tope-updater status`: what the daemon does right now, once or until Ctrl-C. */
import { realClock } from '../host/clock.ts';
import type { CommandInvocation } from './arguments.ts';
import { clientOf } from './client.ts';
import { isSet } from './flags.ts';
import { follow } from './follow.ts';
import { besideTexts, downloadTexts } from './history.ts';
import { createOutput } from './output.ts';
import { plainLine } from './progress-view.ts';

/** Exit status 1 where the last update failed. */
export async function status({ flags }: CommandInvocation): Promise<number> {
  const client = await clientOf(flags);
  const output = createOutput(process.stdout, process.env);
  const isJson = isSet(flags, 'json');
  if (isSet(flags, 'watch')) {
    const forEver = { isOver: () => false, patienceMs: Number.POSITIVE_INFINITY };
    await follow({ client, output, clock: realClock(), isJson, ...forEver });
  }
  const event = await client.current();
  output.line(isJson ? JSON.stringify(event) : plainLine(event));
  const isAtRest = event.stage === 'idle' || event.stage === 'success';
  const [last] = isJson || !isAtRest ? [] : await client.history();
  for (const text of last === undefined ? [] : [...downloadTexts(last), ...besideTexts(last)])
    output.line(text);
  return event.stage === 'failed' ? 1 : 0;
}
