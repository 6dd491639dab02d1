/** Release notes: what is new in a package, as plain text, in one language or by language. */
import * as v from 'valibot';

/** As it is stored and told; what a manifest may have is checked in package/manifest-fields.ts. By language: `en`, `zh`. */
export const NotesSchema = v.union([v.string(), v.record(v.string(), v.string())]);
export type Notes = v.InferOutput<typeof NotesSchema>;

/** In the language of `wanted` (as `zh-CN` or `de_DE.UTF-8`), else in English, else in whatever there is. */
export function notesIn(notes: Notes, wanted: string): string {
  if (typeof notes === 'string') return notes;
  const language = /^[a-z]*/i.exec(wanted)?.[0].toLowerCase() ?? '';
  return notes[language] ?? notes.en ?? Object.values(notes)[0] ?? '';
}
