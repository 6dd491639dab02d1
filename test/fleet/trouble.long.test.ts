/** Servers that fail, lie and forget. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fault } from '../fixtures/ddi-server.ts';
import { until } from '../integration/daemon.ts';
import { askFleet, withFleet } from './device.ts';

const test = suite('a fleet in trouble');

const oddities: readonly (readonly [string, Fault])[] = [
  [
    'an error page',
    {
      kind: 'reply',
      status: 502,
      headers: { 'content-type': 'text/html' },
      body: '<html>Bad Gateway</html>',
    },
  ],
  [
    'a portal',
    {
      kind: 'reply',
      status: 200,
      headers: { 'content-type': 'text/html' },
      body: '<html>Welcome to the hotel</html>',
    },
  ],
  ['a redirect', { kind: 'reply', status: 301, headers: { location: 'http://localhost:1/' } }],
  ['an answer without end', { kind: 'reply', status: 200, body: `{"a":"${'x'.repeat(300_000)}"}` }],
  ['null', { kind: 'reply', status: 200, body: 'null' }],
  ['other JSON', { kind: 'reply', status: 200, body: '{"_links":{"deploymentBase":{"href":5}}}' }],
  ['the flood gate, without Retry-After', { kind: 'reply', status: 429 }],
  ['an unknown token', { kind: 'reply', status: 401 }],
];
test('whatever a server answers instead, the device waits, says why, and goes on when it is well', () =>
  withFleet(async (device) => {
    const daemon = await device.join();
    for (const [what, fault] of oddities) {
      device.server.fail(() => fault);
      const { failed } = (await askFleet(daemon)).data.polls;
      await askFleet(daemon, { poll: true });
      await until(what, async () => (await askFleet(daemon)).data.polls.failed > failed);
      const { data } = await askFleet(daemon);
      assert.ok(data.problem !== null && data.failures > 0 && (data.next_poll_s ?? 0) > 0, what);
    }
    device.server.fail(undefined);
    const id = await device.order(device.usual('2.0.0'));
    await device.ends(daemon, id, 'finished');
    assert.is((await askFleet(daemon)).data.problem, null);
  }));

test('a server that is away for the whole install hears the end when it is back', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'));
    device.server.fail((request) =>
      device.server.ddi.action(id).told.length > 1 && !request.path.includes('/artifacts/')
        ? { kind: 'dropBefore' }
        : undefined,
    );
    const daemon = await device.join();
    await daemon.reach('success');
    await until('it is owed', async () => (await askFleet(daemon)).data.owed?.finished === 'success');
    await daemon.end('SIGTERM');
    device.server.fail(undefined);
    await device.ends(await device.join(), id, 'finished');
  }));

test('a daemon that is killed in mid-download goes on from there, and says so', () =>
  withFleet(async (device) => {
    const big = device.usual('2.0.0', {
      'modules/model.bin': { content: Buffer.alloc(3_000_000, 'z9y8'), compress: false },
    });
    const id = await device.order(big);
    device.server.throttle(500_000);
    const daemon = await device.join();
    await until('bytes came', async () => (await daemon.progress()).progress > 20);
    await daemon.end('SIGKILL');
    device.server.throttle(undefined);
    const told = await device.ends(await device.join(), id, 'finished');
    assert.ok(told.includes('resumed/none'));
    assert.ok(
      device.server.seen.some(
        ({ path, headers }) => path.includes('/artifacts/') && headers.range !== undefined,
      ),
    );
  }));

test('fleet.json that is lost after the end costs one more feedback, and no install', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'));
    device.server.fail((request) => (request.body.includes('closed') ? { kind: 'dropBefore' } : undefined));
    const daemon = await device.join();
    await daemon.reach('success');
    await daemon.end('SIGKILL');
    (await import('node:fs')).rmSync(join(device.work, 'tmp/fleet.json'));
    device.server.fail(undefined);
    const second = await device.join();
    await device.ends(second, id, 'finished');
    assert.is((await second.get<{ updates: unknown[] }>('history')).data.updates.length, 1);
  }));

test('another server, with orders of the same number, is told nothing of the first', () =>
  withFleet(async (first) => {
    const daemon = await first.join();
    await first.ends(daemon, await first.order(first.usual('2.0.0')), 'finished');
    await daemon.end('SIGTERM');
    await withFleet(async (second) => {
      const request = await first.offer(first.usual('3.0.0'));
      second.server.files.set(
        request.package_name,
        readFileSync(join(first.folder, 'store', request.package_name)),
      );
      const id = second.server.ddi.assign({
        modules: [{ name: 'printer', version: '3.0.0', files: [request.package_name] }],
      });
      assert.is(id, '1');
      const other = await first.join(['--fleet-url', second.server.url]);
      await second.ends(other, id, 'finished');
      assert.equal(second.server.ddi.action(id).details, ['installed 3.0.0']);
      assert.equal(first.running(), ['alpha 3.0.0', 'beta 3.0.0']);
    });
  }));

test.run();
