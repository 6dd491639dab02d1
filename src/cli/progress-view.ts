/** An update's progress as one line of text: plain, or with a bar (ASCII, for serial consoles) as wide as the terminal lets it be. Pure. */
import type { ProgressEvent } from './client.ts';
import { bytesOfText, bytesText, durationText } from './figures.ts';
import type { Output, Style } from './output.ts';

type Stage = ProgressEvent['stage'];

/** `downloading 35 %: 17.5 of 50.0 MB, 4.2 MB/s, 8 s left` */
export function plainLine(event: ProgressEvent): string {
  if (event.error !== null) return `${event.stage}: ${event.error}`;
  const percent = hasBar(event.stage) ? ` ${event.progress} %` : '';
  return `${event.stage}${percent}: ${tailOf(event)}${reusedText(event)}`;
}

/** `downloading  [=====>          ]  35 %  17.5 of 50.0 MB, 4.2 MB/s, 8 s left`, cut to the terminal's width. */
export function liveLine(event: ProgressEvent, output: Pick<Output, 'columns' | 'paint'>): string {
  const room = output.columns() - 1;
  const stage = event.stage.padEnd(11);
  const tail = event.error ?? tailOf(event);
  if (!hasBar(event.stage)) return painted(event, `${stage}  ${tail}`.slice(0, room), output);
  const percent = `${String(event.progress).padStart(3)} %`;
  const barRoom = room - stage.length - percent.length - tail.length - 8;
  const bar = barRoom < 8 ? '' : `[${barOf(event.progress, Math.min(barRoom, 40))}]  `;
  return painted(event, `${stage}  ${bar}${percent}  ${tail}`.slice(0, room), output);
}

/** True where the stage moves: the percentage says something. */
function hasBar(stage: Stage): boolean {
  return stage === 'downloading' || stage === 'verifying' || stage === 'installing';
}

/** The figures of a download; else the daemon's words. */
function tailOf({ stage, message, bytes, total_bytes, bytes_per_second: rate }: ProgressEvent): string {
  if (stage !== 'downloading' || total_bytes === 0) return message;
  const figures = [bytesOfText(bytes, total_bytes)];
  if (rate !== null && rate > 0)
    figures.push(`${bytesText(rate)}/s`, `${durationText((1000 * (total_bytes - bytes)) / rate)} left`);
  return figures.join(', ');
}

/** Not on the live line, which has no room for it. */
function reusedText({ stage, download }: ProgressEvent): string {
  if (stage !== 'downloading' || !download?.bytes_reused) return '';
  return `; ${bytesText(download.bytes_reused)} of it were here already`;
}

function barOf(percent: number, width: number): string {
  const filled = Math.round((width * percent) / 100);
  const head = filled > 0 && filled < width ? '>' : '';
  return `${'='.repeat(Math.max(0, filled - head.length))}${head}`.padEnd(width);
}

function painted({ stage }: ProgressEvent, line: string, { paint }: Pick<Output, 'paint'>): string {
  const styles: Partial<Record<Stage, Style>> = { success: 'green', failed: 'red', idle: 'dim' };
  return paint(styles[stage] ?? 'bold', line.slice(0, stage.length)) + line.slice(stage.length);
}
