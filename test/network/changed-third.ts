/** One of three files changed, downloaded from a real server by a device that has the two others: the right bytes, and what was fetched. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { deploy, packageOf } from '../download/adaptive-store.ts';
import { obtain, requestFor, temporaryDirectory, testHost } from './rig.ts';

export const changedBytes = 500_000;

export interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

const stored = () => ({ content: randomBytes(changedBytes), compress: false });
const old = { 'web/a': stored(), 'web/b': stored(), 'web/c': stored() };

/** `serve`: starts the server; `directory`/www is for what it serves, and gets the package as `package.zip`. */
export async function changedThird(
  serve: (directory: string, bytes: Buffer) => Promise<Served>,
): Promise<{ readonly bytes: Buffer; readonly fetched: number; readonly requests: number }> {
  const work = temporaryDirectory();
  try {
    const [downloads, www] = [join(work.path, 'tmp'), join(work.path, 'www')];
    for (const path of [downloads, www]) mkdirSync(path);
    chmodSync(www, 0o755);
    const bytes = await packageOf(join(work.path, 'new.zip'), { ...old, 'web/b': stored() });
    const candidates = deploy(join(work.path, 'device'), old);
    const file = join(www, 'package.zip');
    writeFileSync(file, bytes);
    chmodSync(file, 0o644);
    utimesSync(file, 1_500_000_000, 1_500_000_000); // Apache does not believe in dates younger than a minute
    const running = await serve(work.path, bytes);
    try {
      let fetched = 0;
      let requests = 0;
      const outcome = await obtain(testHost(), downloads, requestFor(running.url, bytes), {
        candidates,
        onReceived: (count) => {
          fetched += count;
        },
        onRequest: () => {
          requests += 1;
        },
      });
      assert.is(outcome.error, undefined, outcome.error?.message);
      assert.ok(bytes.equals(Buffer.from(outcome.file ?? [])), 'the right bytes');
      return { bytes, fetched, requests };
    } finally {
      await running.stop();
    }
  } finally {
    work.remove();
  }
}
