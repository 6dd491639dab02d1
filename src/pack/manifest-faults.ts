/**
 * Every fault of a manifest that its engineer can mend, at once. Pure. A device stops at the first, and ignores keys that it does not
 * know; here such a key is a fault, as a misspelt one would ship a package without its health check.
 */
import * as v from 'valibot';
import { suggestion } from '../nearest.ts';
import { issueText, manifestJson, modulesOf } from '../package/manifest.ts';
import { ManifestSchema } from '../package/manifest-schema.ts';
import { withModuleName } from '../package/module-names.ts';
import { printable } from '../package/path-fault.ts';
import { type UnknownKey, unknownKeys } from '../package/unknown-keys.ts';

const mostTold = 10;

/** One text for each, the field first; empty: there is none. Throws INVALID_MANIFEST for what is no JSON. */
export function manifestFaults(bytes: Uint8Array): string[] {
  const raw = manifestJson(bytes);
  const issues = (v.safeParse(ManifestSchema, raw).issues ?? []).map(issueText);
  const missing = issues.flatMap((text) => / *^(.*): is missing$/.exec(text)?.[1] ?? []);
  const unknown = unknownKeys(raw).filter(({ key }) => key !== '$schema');
  const faults = [...new Set([...issues, ...unknown.map((found) => unknownText(found, missing))])];
  const told = faults.slice(0, mostTold).map((text) => withModuleName(text, modulesOf(raw)));
  return faults.length <= mostTold ? told : [...told, `${faults.length - mostTold} more`];
}

function unknownText({ place, key, known }: UnknownKey, missing: readonly string[]): string {
  const absent = known.filter((name) => missing.includes(`${place}${name}`));
  const meant = sameIn(known, key) ?? (absent.length === 1 ? absent[0] : undefined);
  const near = meant === undefined ? suggestion(key, known) : didYouMean(meant);
  const longer = known.find((name) => name.length >= 5 && plain(key).startsWith(plain(name)));
  const advice = near === '' && longer !== undefined ? didYouMean(longer) : near;
  const own = advice === '' ? '; keys of your own begin with "x-"' : advice;
  return `${printable(`${place}${key}`)}: is not a key that is known here${own}`;
}

/** `processName` is `process_name`. */
function sameIn(known: readonly string[], key: string): string | undefined {
  return known.find((name) => plain(name) === plain(key));
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z\d]/g, '');
}

function didYouMean(name: string): string {
  return `; did you mean "${name}"?`;
}
