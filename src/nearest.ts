/** Which of the known words somebody may have meant. Pure. */

/** `; did you mean "install"?`, or nothing when none is near. */
export function suggestion(word: string, known: readonly string[], prefix = ''): string {
  const nearest = nearestTo(word, known);
  return nearest === undefined ? '' : `; did you mean "${prefix}${nearest}"?`;
}

/** The nearest of those that differ in at most a third of their letters, two at most. */
function nearestTo(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((name) => ({ name, edits: distance(word, name) }))
    .filter(({ name, edits }) => edits <= Math.min(2, Math.ceil(name.length / 3)))
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.name;
}

/** Letters that are missing, too many, wrong, or in each other's place (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const isSwapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      line.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (line[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (isSame ? 0 : 1),
          isSwapped ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    [before, last] = [last, line];
  }
  return last[b.length] ?? 0;
}
