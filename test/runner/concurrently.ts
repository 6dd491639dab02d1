/**
 * A uvu suite whose tests run beside each other: with a device each they share nothing, and most of their time they
 * wait. They are reported in the order they are written in.
 */
import { suite } from 'uvu';
import { wantedSuite } from './test-files.ts';

export interface ConcurrentSuite {
  (name: string, work: () => Promise<void>): void;
  /** A test that the quick suite leaves out. */
  long(name: string, work: () => Promise<void>): void;
  /** Skips the test and says so where `missing` tells what this machine does not have. */
  needing(missing: string | undefined, name: string, work: () => Promise<void>): void;
  run(): void;
}

/** At most `limit` tests at a time. */
export function concurrently(title: string, limit = 6): ConcurrentSuite {
  const tests = suite(title);
  const waiting: (() => Promise<void>)[] = [];

  const add = (name: string, work: () => Promise<void>) => {
    const outcome = new Promise<void>((resolve, reject) => {
      waiting.push(() => work().then(resolve, reject));
    });
    outcome.catch(() => undefined); // told when its turn to be reported comes
    tests(name, () => outcome);
  };
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await next();
  };
  const quick = (name: string, work: () => Promise<void>) => {
    if (wantedSuite() !== 'long') add(name, work);
  };
  return Object.assign(quick, {
    long: (name: string, work: () => Promise<void>) => {
      if (wantedSuite() !== 'quick') add(name, work);
    },
    needing: (missing: string | undefined, name: string, work: () => Promise<void>) => {
      if (missing === undefined) return quick(name, work);
      if (wantedSuite() === 'long') return;
      console.log(`skipped: ${title}: ${name}: ${missing}`);
      tests.skip(name, work);
    },
    run: () => {
      tests.before(() => {
        for (let count = 0; count < limit; count++) void worker();
      });
      tests.run();
    },
  });
}
