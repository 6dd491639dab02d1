/** What is installed, and what is again after an update that was undone, in words. Pure. */
import type { HistoryEntry } from '../history.ts';
import type { Installed } from '../installed.ts';
import { serviceIsDown } from '../operations/tidy.ts';

/** `installed: 1.4.0 (alpha 1.4.0, voice 1.3.0)` */
export function installedText({ version, modules }: Installed): string {
  if (version === null) return 'installed: nothing yet';
  const names = modules.map(({ name, version: its }) => `${name} ${its ?? '(version not known)'}`);
  return `installed: ${version}${names.length === 0 ? '' : ` (${names.join(', ')})`}`;
}

/** `1.4.0 runs again`; empty where nothing was undone, or not to its end. `error`: the one to tell. */
export function restoredText(entry: HistoryEntry | undefined, error: string | null): string {
  if (error === null || entry?.error !== error || entry.modules.length === 0) return '';
  if (error.startsWith('ROLLBACK_FAILED') || serviceIsDown(error)) return '';
  return entry.previous_version === null
    ? 'everything is as it was before'
    : `${entry.previous_version} runs again`;
}
