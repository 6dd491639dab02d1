/** What is installed and what waits to be, as GET /versions tells it. The schema is the one source for the API and the OpenAPI document. */
import * as v from 'valibot';
import { NotesSchema } from './notes.ts';

export const InstalledSchema = v.object({
  /** Null: nothing is. */
  version: v.nullable(v.string()),
  /** In the order of their names. `version`: of the update that brought it; null: an updater of before did not write it down. */
  modules: v.array(v.object({ name: v.string(), version: v.nullable(v.string()) })),
  notes: v.nullable(NotesSchema),
});
export type Installed = v.InferOutput<typeof InstalledSchema>;

export const VersionsSchema = v.object({
  installed: InstalledSchema,
  /** A verified package that an /update may ask for. */
  waiting: v.nullable(v.object({ version: v.string(), notes: v.nullable(NotesSchema) })),
});
export type Versions = v.InferOutput<typeof VersionsSchema>;
