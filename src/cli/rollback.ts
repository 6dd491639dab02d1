/** `tope-updater rollback`: puts back what was there before the last update, or before the named one. */
import type { HistoryEntry } from '../history.ts';
import { realClock } from '../host/clock.ts';
import type { CommandInvocation } from './arguments.ts';
import { askFirst, followToEnd } from './carry-out.ts';
import { clientOf } from './client.ts';
import { checkedVersion, isSet } from './flags.ts';
import { createOutput } from './output.ts';

export async function rollback(invocation: CommandInvocation): Promise<number> {
  const { flags, operands } = invocation;
  const version = checkedVersion(operands[0], 'rollback');
  const client = await clientOf(flags);
  const history = await client.history();
  await askFirst(invocation, rollbackQuestion(history, version));
  await client.rollback(version);
  const output = createOutput(process.stdout, process.env);
  const isJson = isSet(flags, 'json');
  await followToEnd({ client, output, clock: realClock(), isJson }, history[0]);
  return 0;
}

/** Names what goes and what runs then, where the history tells. `history`: newest first. `version`: undefined: the last update. */
export function rollbackQuestion(history: readonly HistoryEntry[], version: string | undefined): string {
  const updates = standingUpdates(history);
  const last = version === undefined ? 0 : updates.findIndex((entry) => entry.version === version);
  const chain = last < 0 ? [] : updates.slice(0, last + 1);
  const oldest = chain.at(-1);
  const what = version === undefined ? 'the last update' : `${version} and every update after it`;
  if (oldest === undefined) return `Take ${what} back on this device?`;
  const back = oldest.previous_version;
  const then = back === null ? 'what was there before the first update comes back' : `${back} runs again`;
  return `Take ${what} back on this device: ${chain.map((entry) => entry.version).join(', ')} ${chain.length === 1 ? 'goes' : 'go'}, ${then}?`;
}

/** The updates that no rollback has taken back, newest first. */
export function standingUpdates(history: readonly HistoryEntry[]): HistoryEntry[] {
  const standing: HistoryEntry[] = [];
  for (const entry of [...history].reverse()) {
    if (entry.outcome !== 'success') continue;
    if (entry.kind === 'update') standing.push(entry);
    if (entry.kind !== 'rollback') continue;
    for (let gone = standing.pop(); gone !== undefined; gone = standing.pop())
      if (gone.previous_version === entry.version) break;
  }
  return standing.reverse();
}
