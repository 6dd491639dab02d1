/** Follows the daemon: a live line on a terminal, else a line for each change. One that stops answering is waited for: it may be what is updated. */
import type { Clock } from '../host/host.ts';
import type { Client, ProgressEvent } from './client.ts';
import { CommandError } from './failure.ts';
import { durationText } from './figures.ts';
import type { Output } from './output.ts';
import { liveLine, plainLine } from './progress-view.ts';

export interface FollowOptions {
  readonly client: Client;
  readonly output: Output;
  readonly clock: Clock;
  readonly isJson: boolean;
  /** A daemon that was seen and does not answer any more is waited for this long. */
  readonly patienceMs: number;
  /** True where there is nothing more to see. */
  readonly isOver: (event: ProgressEvent) => boolean;
  /** The caller tells a failure itself, on stderr: it is not shown here as well. */
  readonly leavesFailure?: boolean;
}

const retryMs = 500;
/** In a pipe, a line for each step of this size. */
const stepPercent = 5;

/** Resolves with the last event. Rejects where the daemon does not answer at the first try, or not again in time. */
export async function follow(options: FollowOptions): Promise<ProgressEvent> {
  const { client, clock } = options;
  const show = createShow(options);
  let seenMs: number | undefined;
  for (;;) {
    let why: unknown;
    try {
      for await (const event of client.events()) {
        seenMs = clock.elapsed();
        show.event(event);
        if (options.isOver(event)) return event;
      }
    } catch (thrown) {
      // Before the first event it is a daemon that never answered, and a refusal stays one.
      if (seenMs === undefined || (thrown instanceof CommandError && thrown.exitCode !== 3)) throw thrown;
      why = thrown;
    }
    const silentMs = clock.elapsed() - (seenMs ?? 0);
    if (silentMs > options.patienceMs)
      throw why ?? new CommandError(`${client.place} does not answer any more`, 3);
    show.silence(silentMs);
    await clock.sleep(retryMs);
  }
}

function createShow({ output, isJson, leavesFailure = false }: FollowOptions) {
  let shown: ProgressEvent | undefined;
  let isSilent = false;
  return {
    event: (event: ProgressEvent) => {
      if (isJson) output.line(JSON.stringify(event));
      else if (leavesFailure && event.stage === 'failed') output.live('');
      else if (output.isLive) output.live(liveLine(event, output));
      else if (isSilent || isChange(shown, event)) {
        output.line(plainLine(event));
        shown = event;
      }
      isSilent = false;
    },
    silence: (ms: number) => {
      const text = 'the daemon does not answer, trying again';
      if (!isJson && !output.isLive && !isSilent) output.line(text);
      if (!isJson) output.live(`${text} (${durationText(ms)})`.slice(0, output.columns() - 1));
      isSilent = true;
    },
  };
}

function isChange(before: ProgressEvent | undefined, now: ProgressEvent): boolean {
  if (before === undefined || before.stage !== now.stage || before.error !== now.error) return true;
  return before.message !== now.message || Math.abs(now.progress - before.progress) >= stepPercent;
}
