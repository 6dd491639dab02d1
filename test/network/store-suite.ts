/** A suite whose every test has a scripted store with one file, and an empty work directory. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type FaultServer, type Step, startFaultServer } from './fault-server.ts';
import {
  type Outcome,
  obtain,
  type RunOptions,
  requestFor,
  someBytes,
  temporaryDirectory,
  testHost,
} from './rig.ts';

export const size = 900_000;
/** The package asked for, and another version of the same size. */
export const right = someBytes(size);
export const other = someBytes(size);
/** What is remembered of a download of `right`. */
export const resumeInfo = {
  bytes_downloaded: 1,
  etag: '"v0"',
  last_modified: new Date(Date.UTC(2020, 0, 1)).toUTCString(),
  total: size,
};

export interface Context {
  server: FaultServer;
  directory: string;
  part: string;
  cleanUp: () => Promise<void>;
}

export function storeSuite(name: string) {
  const test = suite<Context>(name);
  test.before.each(async (context) => {
    const work = temporaryDirectory();
    const server = await startFaultServer({ versions: [right, other] });
    Object.assign(context, { server, directory: work.path, part: join(work.path, 'package.zip.part') });
    context.cleanUp = async () => {
      await context.server.close(); // the test may have put another in its place
      work.remove();
    };
  });
  test.after.each((context) => context.cleanUp());
  return test;
}

/** Downloads `right` from the context's server, which plays `steps` first. */
export function run(context: Context, steps: readonly Step[], options: RunOptions = {}, host = testHost()) {
  context.server.script(steps);
  return obtain(host, context.directory, requestFor(context.server.url, right), options);
}

export function assertRight(outcome: Outcome): void {
  assert.is(outcome.error, undefined, outcome.error?.message);
  assert.ok(Buffer.from(right).equals(outcome.file ?? new Uint8Array()), 'the right file');
}

/** One line a request: what range, what status. */
export function asked(context: Context): string[] {
  return context.server.seen.map(({ headers, status }) => `${headers.range ?? 'whole'} ${status}`);
}
