/** Release notes on a terminal. Pure. */
import { type Notes, notesIn } from '../notes.ts';

/** Every language, one below the other: what whoever makes a package looks at. */
export function allNotes(notes: Notes): string[] {
  const texts = typeof notes === 'string' ? [['notes', notes] as const] : Object.entries(notes).map(titled);
  return texts.flatMap(([title, text]) => [`${title}:`, ...indented(text)]);
}

/** In the language of the terminal, as POSIX names it: `zh_CN.UTF-8`. */
export function notesHere(
  notes: Notes,
  { LC_ALL, LC_MESSAGES, LANG }: Readonly<Record<string, string | undefined>>,
): string {
  return ['what is new:', ...indented(notesIn(notes, LC_ALL || LC_MESSAGES || LANG || ''))].join('\n');
}

function titled([language, text]: [string, string]): readonly [string, string] {
  return [`notes (${language})`, text];
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`.trimEnd());
}
