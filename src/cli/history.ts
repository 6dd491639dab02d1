/** `tope-updater history`: past updates and rollbacks, newest first. */
import type { HistoryEntry } from '../history.ts';
import type { CommandInvocation } from './arguments.ts';
import { clientOf } from './client.ts';
import { bytesText, durationText, tableLines } from './figures.ts';
import { isSet } from './flags.ts';
import { createOutput, type Output } from './output.ts';

export async function history({ flags }: CommandInvocation): Promise<number> {
  const entries = await (await clientOf(flags)).history();
  const output = createOutput(process.stdout, process.env);
  if (isSet(flags, 'json')) for (const entry of entries) output.line(JSON.stringify(entry));
  else if (entries.length === 0) output.line('nothing was installed yet');
  else printTable(output, entries);
  return 0;
}

/** What an update's download took, where the device had a part of it. */
export function downloadTexts({ download }: HistoryEntry): string[] {
  if (!download?.bytes_reused) return [];
  const { bytes_fetched, bytes_reused } = download;
  return [`downloaded ${bytesText(bytes_fetched)}, ${bytesText(bytes_reused)} were here already`];
}

/** What a person has to look at: an edited file stayed, the package's own is there to compare. */
export function besideTexts({ put_beside: put = [], not_put_beside: others = [] }: HistoryEntry): string[] {
  return [
    ...(put.length === 0 ? [] : [`edited files stay, beside them: ${put.join(', ')}`]),
    ...(others.length === 0
      ? []
      : [
          `edited files stay, the new ones were not put beside them, as these stay, too: ${others.join(', ')}`,
        ]),
  ];
}

function removedTexts({ removed = [] }: HistoryEntry): string[] {
  return removed.length === 0 ? [] : [`removed: ${removed.join(' ')}`];
}

function printTable(output: Output, entries: readonly HistoryEntry[]): void {
  const rows = entries.map((entry) => [
    entry.started_at.slice(0, 19).replace('T', ' '),
    entry.kind,
    `${entry.previous_version ?? '-'} -> ${entry.version ?? 'nothing'}`,
    durationText(Date.parse(entry.ended_at) - Date.parse(entry.started_at)),
    entry.outcome,
    entry.updater ?? '-',
    entry.error ??
      [entry.modules.join(' '), ...removedTexts(entry), ...downloadTexts(entry), ...besideTexts(entry)].join(
        '; ',
      ),
  ]);
  const header = ['time (UTC)', 'what', 'version', 'took', 'outcome', 'updater', 'modules, or why not'];
  const [first = '', ...lines] = tableLines([header, ...rows]);
  output.line(output.paint('bold', first));
  for (const [index, line] of lines.entries()) {
    const failed = entries[index]?.outcome === 'failed';
    output.line(failed ? output.paint('red', line) : line);
  }
}
