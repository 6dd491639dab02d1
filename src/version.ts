/** What a version is, and which of two is the later one: Semantic Versioning 2.0.0 (semver.org), sections 9 to 11. */
import * as v from 'valibot';

/** Longer ones tell nobody more, and stand in file names. */
const longest = 128;

const number = '(?:0|[1-9][0-9]*)';
const identifier = `(?:${number}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const pattern = new RegExp(
  `^${number}\\.${number}\\.${number}(?:-${identifier}(?:\\.${identifier})*)?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`,
);

export const VersionSchema = v.pipe(
  v.string(),
  v.maxLength(longest, `must not be longer than ${longest} characters`),
  v.regex(pattern, 'must be a version such as 1.2.3, 1.2.3-rc.1 or 1.2.3+build.7 (semver.org)'),
);

/** Negative, zero or positive, by precedence: what follows "+" does not count. Both are versions. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  const core = compareLists(left.core, right.core);
  if (core !== 0) return core;
  // A pre-release comes before its release, which has no identifiers at all.
  if (left.preRelease.length === 0 || right.preRelease.length === 0)
    return right.preRelease.length - left.preRelease.length;
  return compareLists(left.preRelease, right.preRelease);
}

function partsOf(version: string): { core: string[]; preRelease: string[] } {
  const [precedence = ''] = version.split('+');
  const dash = precedence.indexOf('-');
  const core = dash < 0 ? precedence : precedence.slice(0, dash);
  return { core: core.split('.'), preRelease: dash < 0 ? [] : precedence.slice(dash + 1).split('.') };
}

/** Identifier by identifier; where all of the shorter list are equal, the longer one is later. */
function compareLists(a: readonly string[], b: readonly string[]): number {
  for (const [index, identifierA] of a.entries()) {
    const identifierB = b[index];
    if (identifierB === undefined) return 1;
    const order = compareIdentifiers(identifierA, identifierB);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareIdentifiers(a: string, b: string): number {
  if (a === b) return 0;
  const [isNumberA, isNumberB] = [a, b].map((text) => /^[0-9]+$/.test(text));
  if (isNumberA !== isNumberB) return isNumberA ? -1 : 1;
  // Without leading zeros the longer number is the greater one, however long.
  if (isNumberA && a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}
