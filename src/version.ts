/** What a version is: three numbers, compared one after another. */
import * as v from 'valibot';

export const VersionSchema = v.pipe(
  v.string(),
  v.maxLength(64),
  v.regex(/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/, 'must be a version of the form x.y.z'),
);
