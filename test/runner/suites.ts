/**
 * A suite of uvu of which some tests are long: `test.long` is for what costs more than `make test` has for it. A file
 * that is long as a whole is called `*.long.test.ts` and needs none of this.
 */
import { type Callback, type Context, suite as suiteOfUvu, type Test } from 'uvu';
import { wantedSuite } from './test-files.ts';

export interface MixedSuite<T> extends Test<T> {
  /** A test that the quick suite leaves out. */
  long(name: string, test: Callback<T>): void;
}

export function suite<T = Context>(title: string, context?: T): MixedSuite<T> {
  const test = suiteOfUvu<T>(title, context);
  const wanted = wantedSuite();
  const quick = (name: string, work: Callback<T>) => {
    if (wanted !== 'long') test(name, work);
  };
  const long = (name: string, work: Callback<T>) => {
    if (wanted !== 'quick') test(name, work);
  };
  return Object.assign(quick, test, { long });
}
