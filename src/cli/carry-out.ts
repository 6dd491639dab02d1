/** What install and rollback share: the question before, and the way to the end of what the daemon was told to do. */
import type { HistoryEntry } from '../history.ts';
import { optionsAdvice } from './allowed-roots.ts';
import type { CommandInvocation } from './arguments.ts';
import type { Client, ProgressEvent } from './client.ts';
import { CommandError } from './failure.ts';
import { isSet } from './flags.ts';
import { type FollowOptions, follow } from './follow.ts';
import { restoredText } from './installed-text.ts';
import { confirm } from './prompt.ts';

/** The daemon may restart in the middle: itself may be what is updated, or the device reboots. */
const patienceMs = 120_000;

/** Asks on a terminal unless --yes was given. Throws where the answer is no or nobody can be asked. `question`: made only where it is asked. */
export async function askFirst(
  { flags, command }: CommandInvocation,
  question: string | (() => Promise<string>),
): Promise<void> {
  if (isSet(flags, 'yes')) return;
  if (process.stdin.isTTY !== true)
    throw new CommandError(`${command} asks first, but this is no terminal: give --yes`);
  if (!(await confirm(typeof question === 'string' ? question : await question())))
    throw new CommandError('nothing was done');
}

/** Follows the daemon until one of the stages is reached; throws with the daemon's error where it fails instead. */
export async function followTo(
  options: Pick<FollowOptions, 'client' | 'output' | 'clock' | 'isJson'>,
  stages: readonly ProgressEvent['stage'][],
): Promise<ProgressEvent> {
  const isOver = ({ stage }: ProgressEvent) => stage === 'failed' || stages.includes(stage);
  const last = await follow({ ...options, patienceMs, isOver, leavesFailure: true });
  if (last.stage === 'failed') {
    const [newest] = await options.client.history();
    throw new CommandError(failureText(newest, last.error ?? last.message));
  }
  if (options.output.isLive && !options.isJson) process.stdout.write('\n');
  return last;
}

/** Follows an install or a rollback to its end. A daemon that restarted after its success rests in `idle`: then its history tells. */
export async function followToEnd(
  options: Parameters<typeof followTo>[0] & { readonly client: Client },
  newestBefore: HistoryEntry | undefined,
): Promise<void> {
  const last = await followTo(options, ['success', 'idle']);
  if (last.stage === 'success') return;
  const [newest] = await options.client.history();
  if (newest === undefined || newest.id === newestBefore?.id)
    throw new CommandError('the daemon rests, and its history has no entry of this: it was cancelled');
  if (newest.outcome === 'failed') throw new CommandError(failureText(newest, newest.error ?? 'it failed'));
}

/** With what runs now, where the update was undone, and what may help. */
function failureText(newest: HistoryEntry | undefined, error: string): string {
  const restored = restoredText(newest, error);
  const advice = optionsAdvice(error) ?? '';
  return [error, restored, advice].filter((text) => text !== '').join('\n  ');
}
