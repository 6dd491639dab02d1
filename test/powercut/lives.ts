/** The lives of the updater that a list of marks tells of: each start of it on the same disk begins one. */

export const startMark = 'the updater starts';

/** The marks life by life; the first is the one that was recorded. */
export function livesOf(marks: readonly string[]): string[][] {
  const lives: string[][] = [[]];
  for (const mark of marks) {
    if (mark === startMark) lives.push([]);
    else lives.at(-1)?.push(mark);
  }
  return lives;
}
