/** A port that is taken is waited for by a start that has to prove a new executable, and by no other. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { portPatience } from '../../src/cli/port-patience.ts';

const test = suite<{ folder: string }>('a port that is taken');
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'port-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

async function takenPort() {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      const own = createServer();
      own.once('error', (cause) => reject(new Error(`port ${port} is taken`, { cause })));
      own.listen(port, '127.0.0.1', () => own.close(() => resolve()));
    });
  return { listen, free: () => new Promise((resolve) => server.close(resolve)) };
}

test('is waited for during a probation, until it is free', async ({ folder }) => {
  writeFileSync(join(folder, 'probation'), '');
  const { listen, free } = await takenPort();
  const patience = portPatience({ TOPE_UPDATER_EXECUTABLE: join(folder, 'tope-updater') });
  let tries = 0;
  await patience(async () => {
    tries += 1;
    if (tries === 2) await free();
    await listen();
  });
  assert.is(tries, 2);
});

test('is an error at once where nothing has to prove itself', async ({ folder }) => {
  const { listen, free } = await takenPort();
  for (const environment of [{}, { TOPE_UPDATER_EXECUTABLE: join(folder, 'tope-updater') }]) {
    let tries = 0;
    const fault = await portPatience(environment)(() => {
      tries += 1;
      return listen();
    }).then(
      () => undefined,
      (thrown: Error) => thrown.message,
    );
    assert.match(fault ?? '', /is taken/);
    assert.is(tries, 1);
  }
  await free();
});

test('another failure is not waited for', async ({ folder }) => {
  writeFileSync(join(folder, 'probation'), '');
  const patience = portPatience({ TOPE_UPDATER_EXECUTABLE: join(folder, 'tope-updater') });
  const refused = () =>
    Promise.reject(new Error('no', { cause: Object.assign(new Error(), { code: 'EACCES' }) }));
  assert.is(await patience(refused).catch((thrown: Error) => thrown.message), 'no');
});

test.run();
