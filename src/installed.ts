/** What is installed, as GET /versions tells it. The schema is the one source for the API and the OpenAPI document. */
import * as v from 'valibot';

export const InstalledSchema = v.object({
  /** Null: nothing is. */
  version: v.nullable(v.string()),
  /** In the order of their names. `version`: of the update that brought it; null: an updater of before did not write it down. */
  modules: v.array(v.object({ name: v.string(), version: v.nullable(v.string()) })),
});
export type Installed = v.InferOutput<typeof InstalledSchema>;

export const VersionsSchema = v.object({ installed: InstalledSchema });
export type Versions = v.InferOutput<typeof VersionsSchema>;
