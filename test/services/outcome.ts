/** Asserts on expected failures. */
import * as assert from 'uvu/assert';
import { type ErrorCode, UpdateError } from '../../src/errors.ts';

/** Asserts that `work` fails with `code` and that the message names every one of `facts`. */
export async function rejects(
  work: Promise<unknown>,
  code: ErrorCode,
  facts: readonly string[],
): Promise<void> {
  const thrown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof UpdateError)) throw thrown ?? new Error(`${code} was expected, nothing failed`);
  assert.is(thrown.code, code, thrown.message);
  for (const fact of facts) assert.ok(thrown.message.includes(fact), `"${thrown.message}" names ${fact}`);
}
