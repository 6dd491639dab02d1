import { createHash, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DigestStream, isWorthThread, threadDigest } from '../../src/host/digest-thread.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';

const bytes = randomBytes(3_000_001);

/** The text of the error that `promise` rejects with. */
function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no failure',
    (thrown: Error) => thrown.message,
  );
}

async function feed(digest: DigestStream, sizes: readonly number[]): Promise<void> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    // The caller's buffer is used again as soon as it may be.
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    const busy = digest.update(chunk);
    if (busy !== undefined) await busy;
    chunk.fill(0);
    at += size;
  }
}

for (const algorithm of ['md5', 'sha256'] as const) {
  for (const sizes of [[65_536], [262_144], [131_072], [1, 70_000, 400_000], [2_000_000]]) {
    test(`${algorithm} of chunks of ${sizes} bytes is that of the whole`, async () => {
      const digest = threadDigest(freeMemory, algorithm);
      await feed(digest, sizes);
      assert.is(await digest.finish(), createHash(algorithm).update(bytes).digest('hex'));
      digest.abort();
    });
  }
}

test('a notification that comes when its bytes are digested already does no harm', async () => {
  const { notify } = Atomics;
  const twice = (array: Int32Array, index: number) => {
    setTimeout(() => notify(array, index), 2);
    return notify(array, index);
  };
  Object.assign(Atomics, { notify: twice });
  try {
    const digest = threadDigest(freeMemory, 'md5');
    for (let at = 0; at < bytes.length; at += 131_072) {
      const busy = digest.update(bytes.subarray(at, at + 131_072));
      if (busy !== undefined) await busy;
      await sleep(4);
    }
    assert.is(await digest.finish(), createHash('md5').update(bytes).digest('hex'));
    digest.abort();
  } finally {
    Object.assign(Atomics, { notify });
  }
});

test('nothing has a digest, too', async () => {
  assert.is(await threadDigest(freeMemory, 'md5').finish(), createHash('md5').digest('hex'));
});

test('a digest that was given up takes no more bytes, and its thread ends', async () => {
  const digest = threadDigest(freeMemory, 'md5');
  await digest.update(bytes);
  digest.abort();
  assert.match(await failureOf(feed(digest, [262_144])), /the md5 digest was given up/);
  assert.match(await failureOf(digest.finish()), /the md5 digest was given up/);
});

test('one that was given up before its thread had started leaves nothing behind', async () => {
  const digest = threadDigest(freeMemory, 'md5');
  void digest.update(bytes.subarray(0, 10));
  digest.abort();
  assert.match(await failureOf(digest.finish()), /the md5 digest was given up/);
});

test('several at a time do not meet', async () => {
  const digests = [threadDigest(freeMemory, 'md5'), threadDigest(freeMemory, 'sha256')];
  await Promise.all(digests.map((digest) => feed(digest, [100_000])));
  const found = await Promise.all(digests.map((digest) => digest.finish()));
  assert.equal(
    found,
    ['md5', 'sha256'].map((name) => createHash(name).update(bytes).digest('hex')),
  );
});

test('only a long stream, with a processor and memory to spare, gets a thread', async () => {
  const long = limits.digestThreadFromBytes;
  assert.is(await isWorthThread(freeMemory, long), availableParallelism() > 1);
  assert.is(await isWorthThread(freeMemory, long - 1), false);
  assert.is(await isWorthThread({ ...freeMemory, hasRoomForThread: false }, long), false);
});

test.run();
