/** Many calls of which some may fail: what went wrong with each. */
import { errno } from '../errors.ts';

/** Undefined: nothing. */
export type Failure = Error | undefined;

/** One after the other. Only system errors are failures; any other rejects. */
export async function settleEach<T>(
  items: readonly T[],
  action: (item: T) => Promise<void>,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (const item of items) {
    try {
      await action(item);
      failures.push(undefined);
    } catch (thrown) {
      failures.push(systemFailure(thrown));
    }
  }
  return failures;
}

/** All begun at once; `begin` calls `done` at the end of each. */
export function settleAll<T>(
  items: readonly T[],
  begin: (item: T, done: (failure: Failure | null) => void) => void,
): Promise<Failure[]> {
  return new Promise((resolve) => {
    const failures: Failure[] = new Array(items.length);
    let left = items.length;
    if (left === 0) resolve(failures);
    items.forEach((item, index) => {
      begin(item, (failure) => {
        failures[index] = failure ?? undefined;
        left -= 1;
        if (left === 0) resolve(failures);
      });
    });
  });
}

export function systemFailure(thrown: unknown): Error {
  if (!(thrown instanceof Error) || errno(thrown) === undefined) throw thrown;
  return thrown;
}
