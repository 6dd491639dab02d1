/** A list of files in one line of text: all are counted, the first of them named. Pure. */
import type { List } from '../packed-list.ts';
import { printed } from '../printed.ts';

/** `a, b and 3 more`. */
export function listText(names: List<string>, shown = namesShown): string {
  const first: string[] = [];
  for (const name of names) {
    if (first.length === shown) break;
    first.push(printed(name));
  }
  const more = names.length - first.length;
  return `${first.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Of a list in one line of the log. */
const namesShown = 20;

export function filesText(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}
