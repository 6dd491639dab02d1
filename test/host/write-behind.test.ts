/** The writer over two buffers: every byte in order, what may be in flight at a time, and how a failure is heard. */
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeBehind } from '../../src/host/write-behind.ts';
import { limits } from '../../src/limits.ts';

const test = suite('write behind');

/** A file in memory that notes what is in flight; `failAt` counts writes from 0. */
function slowFile(failAt = Number.POSITIVE_INFINITY) {
  const content: Buffer[] = [];
  const seen = { writes: 0, syncs: 0, most: 0 };
  let inFlight = 0;
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    seen,
    content: () => Buffer.concat(content),
    async write(bytes: Uint8Array, position: number) {
      seen.most = Math.max(seen.most, ++inFlight);
      await turn();
      inFlight--;
      if (seen.writes++ >= failAt) throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
      assert.is(
        position,
        content.reduce((sum, part) => sum + part.length, 0),
      );
      content.push(Buffer.from(bytes));
    },
    async syncData() {
      seen.syncs++;
      await turn();
    },
  };
}

async function writeAll(out: ReturnType<typeof writeBehind>, bytes: Uint8Array, pieceBytes: number) {
  for (let at = 0; at < bytes.length; at += pieceBytes) await out.write(bytes.subarray(at, at + pieceBytes));
}

for (const pieceBytes of [1, 1000, limits.chunkBytes, limits.writeBufferBytes, 3 * limits.writeBufferBytes]) {
  test(`pieces of ${pieceBytes} bytes arrive whole and in order, one write at a time`, async () => {
    const file = slowFile();
    const bytes = randomBytes(pieceBytes === 1 ? 5_000 : 3_000_000);
    const out = writeBehind(file, bytes.length);
    await writeAll(out, bytes, pieceBytes);
    assert.is(out.position(), bytes.length);
    await out.flush();
    assert.is(out.writtenBytes(), bytes.length);
    assert.is(Buffer.compare(file.content(), bytes), 0);
    assert.is(file.seen.most, 1);
  });
}

test('a file that is longer than expected is written all the same', async () => {
  const file = slowFile();
  const bytes = randomBytes(10_000);
  const out = writeBehind(file, 100);
  await writeAll(out, bytes, 999);
  await out.flush();
  assert.is(Buffer.compare(file.content(), bytes), 0);
});

test('bytes are synced as they go', async () => {
  const file = slowFile();
  const out = writeBehind(file);
  await writeAll(out, Buffer.alloc(3 * limits.dataSyncEveryBytes), limits.chunkBytes);
  await out.flush();
  assert.is(file.seen.syncs, 3);
});

test('a failed write is heard by a later one or by flush, and idle never rejects', async () => {
  const file = slowFile(1);
  const out = writeBehind(file);
  const thrown = await writeAll(out, Buffer.alloc(2_000_000), limits.chunkBytes).catch((reason) => reason);
  assert.match(String(thrown), /ENOSPC/);
  await out.idle();
  assert.match(String(await out.flush().catch((reason) => reason)), /ENOSPC/);
  assert.is(out.writtenBytes(), limits.writeBufferBytes);
});

test('after a restart the next byte goes where it was told to', async () => {
  const file = slowFile();
  const out = writeBehind(file);
  await out.write(Buffer.from('dropped'));
  await out.restartAt(0);
  assert.is(out.position(), 0);
  await out.write(Buffer.from('kept'));
  await out.flush();
  assert.is(file.content().toString(), 'kept');
});

test.run();
