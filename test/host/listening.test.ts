/** Who listens on a port, by the kernel's table. */
import { createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasListener, isListenedOn } from '../../src/host/listening.ts';

const test = suite('who listens');

for (const host of ['127.0.0.1', '::', '0.0.0.0'])
  test(`a port that somebody listens on at ${host}, and the same when they are gone`, async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, host, done));
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    assert.ok(await isListenedOn(port));
    await new Promise((done) => server.close(done));
    assert.not.ok(await isListenedOn(port));
  });

test('a connection from or to a port is no listener, nor is the other end of its name', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:301B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:3000 0100007F:301C 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
`;
  assert.equal(
    [12315, 0x3000, 0x301c, 0x1b].map((port) => hasListener(table, port)),
    [true, false, false, false],
  );
});

test.run();
