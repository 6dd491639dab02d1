/** A list of files for one line of a log: all are counted, the first of them named. Pure. */

export interface NameList {
  readonly count: number;
  readonly names: readonly string[];
  add(name: string): void;
}

/** Of a list in one line of the log. */
const namesShown = 20;

export function nameList(): NameList {
  const names: string[] = [];
  let count = 0;
  return {
    get count() {
      return count;
    },
    names,
    add: (name) => {
      count += 1;
      if (names.length < namesShown) names.push(name);
    },
  };
}

/** `a, b and 3 more`. */
export function listText({ count, names }: Pick<NameList, 'count' | 'names'>): string {
  const more = count - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

export function filesText(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}
