/** The doctor on the Node that this executable carries: whether anybody still mends it. */
import { endOfSupport } from '../node-support.ts';
import { checkOf, type Finding } from './finding.ts';

/** `version`: `x.y.z`. `isSigned`: packages need a signature; else an old list of authorities is all between a foreign package and root. */
export function runtimeCheck(version: string, isSigned: boolean, nowMs: number): Finding {
  const check = checkOf('runtime');
  const ended = endOfSupport(version, nowMs);
  if (ended === undefined) return check.ok(`Node ${version}`);
  const found = `Node ${version}, which gets no security fixes since ${ended}`;
  if (isSigned) return check.ok(`${found}; packages must be signed`);
  return check.warn(
    `${found}, and packages need no signature`,
    'trust packages by their signature (--trust-key), or take an executable with a newer Node',
  );
}
