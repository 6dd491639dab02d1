/** A partial file by itself: who computes its digests. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openPartFile } from '../../src/download/part-file.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Memory } from '../../src/host/host.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';

interface Context {
  directory: string;
}
const test = suite<Context>('part file', {} as Context);
test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'tope-part-'));
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true, force: true }));

/** Of a package that is worth a thread; a thread frees memory before it starts. */
async function digested(directory: string, isHere: boolean) {
  let threads = 0;
  const memory: Memory = {
    ...freeMemory,
    trim: () => {
      threads += 1;
    },
  };
  const part = await openPartFile({ files: realFiles(), memory }, directory, 'p.zip.part', {
    keep: false,
    withSha256: false,
    maxBytes: limits.digestThreadFromBytes,
    signal: new AbortController().signal,
  });
  if (isHere) await part.digestHere();
  for (const text of ['one', 'two']) await part.append(Buffer.from(text));
  await part.settle();
  const { md5 } = await part.finish();
  await part.close();
  return { md5, threads };
}

test('a large package has a thread for its digest, and none where there is no room for one', async ({
  directory,
}) => {
  const md5 = createHash('md5').update('onetwo').digest('hex');
  const own = await digested(directory, false);
  assert.is(own.md5, md5);
  assert.ok(own.threads > 0 || availableParallelism() === 1);
  assert.equal(await digested(directory, true), { md5, threads: 0 });
});

test.run();
