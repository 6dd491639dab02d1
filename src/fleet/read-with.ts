/** An answer that does not fit its schema is a fault of the server, or of a portal in between. */
import * as v from 'valibot';
import { ServerFault } from './exchange.ts';

/** Throws a ServerFault that names the first thing that is wrong, not its value. */
export function readWith<T>(read: (json: unknown) => T, json: unknown, what: string): T {
  try {
    return read(json);
  } catch (thrown) {
    if (!v.isValiError(thrown)) throw thrown;
    const [issue] = thrown.issues;
    throw new ServerFault(`${what}: ${v.getDotPath(issue) ?? 'the answer'} is not as expected`);
  }
}
