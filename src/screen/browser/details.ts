/** What the sheet of details says: of a failure its own words, of a version its release notes and modules. Pure. */
import { inWords, type Voice } from './say.ts';
import * as text from './text.ts';
import type { State, Versions } from './wire.ts';

export interface Details {
  readonly title: string;
  /** A sentence, or the release notes. */
  readonly lead: string;
  /** The error as it was told, or a line for each module. */
  readonly more: string;
}

/** Null where there is no more to say than the page says. */
export function detailsOf({ stage, error }: State, versions: Versions | null, voice: Voice): Details | null {
  const { say } = voice;
  if (error) return { title: say(text.failure), lead: inWords(error, voice), more: error };
  if (!versions) return null;
  const { installed, waiting } = versions;
  const isWaiting = stage === 'toInstall';
  if (!isWaiting && stage !== 'idle' && stage !== 'success') return null;
  const { version = '', notes = null } = (isWaiting ? waiting : installed) || {};
  const lead = voice.notes(notes);
  const modules = isWaiting ? [] : installed.modules;
  const more = modules.map(({ name, version: its }) => `${name} ${its || ''}`).join('\n');
  return lead || more ? { title: say(text.version, version || ''), lead, more } : null;
}
