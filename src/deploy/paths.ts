/** Parts of absolute paths in their shortest form, as all of a plan are: node:path looks at each character, which thousands of files feel. Pure. */

/** The directory of a path: `/a/b` -> `/a`, `/a` -> `/`. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

/** The last component of a path. */
export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** A name in a directory. */
export function inDirectory(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

/** What of `path` is below `root`; empty for the root itself, undefined where it is not below it. */
export function below(root: string, path: string): string | undefined {
  if (path === root) return '';
  const prefix = root === '/' ? '/' : `${root}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}
