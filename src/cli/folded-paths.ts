/** A list of paths made short: many files of one folder become that folder with their number. Pure. */

/** At most `most` lines: the deepest folders are named in place of what is in them until there are so few. `/a/venv/ (812 files)` */
export function foldedPaths(paths: readonly string[], most: number): string[] {
  let counts = new Map(paths.map((path) => [path, 1]));
  while (counts.size > most) {
    const deepest = Math.max(...[...counts.keys()].map(depthOf));
    if (deepest <= 2) break;
    const folded = new Map<string, number>();
    for (const [path, count] of counts) {
      const place = depthOf(path) === deepest ? parentOf(path) : path;
      folded.set(place, (folded.get(place) ?? 0) + count);
    }
    counts = folded;
  }
  return [...counts].map(([path, count]) =>
    path.endsWith('/') ? `${path} (${count} ${count === 1 ? 'file' : 'files'})` : path,
  );
}

/** A folder ends with "/" and is as deep as its name. */
function depthOf(path: string): number {
  return path.replace(/\/$/, '').split('/').length;
}

function parentOf(path: string): string {
  const plain = path.replace(/\/$/, '');
  return plain.slice(0, plain.lastIndexOf('/') + 1);
}
