/**
 * Patterns over relative paths, as a manifest's `config` and `keep` write them. Pure.
 *
 *     *    any characters of one component, also none, also a leading dot
 *     ?    one character
 *     **   as a whole component, any number of them, also none
 *     x/   at the end: all that lies below x, as x followed by "/**"
 *
 * A pattern speaks of the whole path: `*.cfg` is a file at the root, `**` followed by `/*.cfg` one at any depth. Own code, because
 * the usual libraries bring braces, classes and negation that nobody asked for, and regular expressions whose time
 * grows without bound; this one takes at most (pattern length) x (path length) steps.
 */

/** Why a pattern is refused, as a predicate ("has ..."); undefined: it is fine. Its form as a path is for others to check. */
export function patternFault(pattern: string): string | undefined {
  const special = /[[\]{}!]/.exec(pattern)?.[0];
  if (special !== undefined) return `has "${special}", which means nothing here; there are "*", "?" and "**"`;
  const mixed = componentsOf(pattern).find((component) => component.includes('**') && component !== '**');
  return mixed === undefined ? undefined : 'has "**" beside other characters of a component';
}

/** True where one of the patterns matches the whole of `path` (components joined by "/"). */
export function matchesAny(patterns: readonly string[], path: string): boolean {
  if (patterns.length === 0) return false;
  const components = path.split('/');
  return patterns.some((pattern) =>
    matchesSequence(componentsOf(pattern), components, '**', (wanted, found) =>
      matchesSequence([...wanted], [...found], '*', (a, b) => a === '?' || a === b),
    ),
  );
}

function componentsOf(pattern: string): string[] {
  return (pattern.endsWith('/') ? `${pattern}**` : pattern).split('/');
}

/** Wildcard matching of any sequence; `star` is any number of elements. To go back to the last star is enough: an earlier one could take no more. */
function matchesSequence(
  pattern: readonly string[],
  found: readonly string[],
  star: string,
  same: (wanted: string, found: string) => boolean,
): boolean {
  let [at, next] = [0, 0];
  let afterStar: { readonly at: number; next: number } | undefined;
  while (next < found.length) {
    const [wanted, element] = [pattern[at], found[next]];
    if (wanted === star) {
      at += 1;
      afterStar = { at, next };
    } else if (wanted !== undefined && element !== undefined && same(wanted, element)) {
      at += 1;
      next += 1;
    } else if (afterStar !== undefined) {
      afterStar.next += 1;
      [at, next] = [afterStar.at, afterStar.next];
    } else {
      return false;
    }
  }
  return pattern.slice(at).every((rest) => rest === star);
}
