/** Cancellations by the server and orders that follow each other, in every stage of an update. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../integration/daemon.ts';
import { askFleet, withFleet } from './device.ts';

const test = suite('cancellations of a fleet');

test('while downloading: the download stops, and the bytes stay for the next order', () =>
  withFleet(async (device) => {
    const big = device.usual('2.0.0', {
      'modules/model.bin': { content: Buffer.alloc(3_000_000, 'x1y2'), compress: false },
    });
    const id = await device.order(big);
    device.server.throttle(400_000);
    const daemon = await device.join();
    await until('bytes came', async () => (await daemon.progress()).progress > 5);
    device.server.ddi.cancel(id);
    assert.is((await device.ends(daemon, id, 'canceled')).at(-1), 'cancel:closed/success');
    assert.is((await daemon.progress()).stage, 'idle');
    await until('it is remembered', async () => (await askFleet(daemon)).data.last?.outcome === 'cancelled');
    device.server.throttle(undefined);
    const next = await device.order(big);
    await device.ends(daemon, next, 'finished');
    assert.ok(
      device.server.seen.some(
        ({ path, headers }) => path.includes('/artifacts/') && headers.range !== undefined,
      ),
    );
  }));

test('while it waits for a hold: the install is undone before it begins', () =>
  withFleet(async (device) => {
    const daemon = await device.join();
    const body = JSON.stringify({ owner: 'a', reason: 'b', ttl_s: 60 });
    await fetch(`${daemon.url}/api/v1.0/hold`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const id = await device.order(device.usual('2.0.0'));
    await askFleet(daemon, { poll: true });
    await daemon.reach('installing');
    device.server.ddi.cancel(id);
    const told = await device.ends(daemon, id, 'canceled');
    assert.is(told.at(-1), 'cancel:closed/success');
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }));

test('while files are being replaced: it is refused once, and the end follows', () =>
  withFleet(async (device) => {
    const spec = device.usual('2.0.0');
    const modules = spec.modules.map((module, index) =>
      index === 0
        ? { ...module, health: { exec: ['/bin/sh', '-c', `test -e ${device.folder}/well`], timeout_s: 20 } }
        : module,
    );
    const id = await device.order({ ...spec, modules });
    const daemon = await device.join();
    // The next order is not started before alpha is healthy.
    await until('it is switched', async () => (await daemon.progress()).message === 'starting services');
    device.server.ddi.cancel(id);
    await until('the refusal', async () => {
      await askFleet(daemon, { poll: true });
      return device.server.ddi.action(id).told.includes('cancel:rejected/none');
    });
    for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
    writeFileSync(`${device.folder}/well`, '');
    const told = await device.ends(daemon, id, 'finished');
    assert.is(told.filter((word) => word === 'cancel:rejected/none').length, 1);
    assert.is(told.at(-1), 'closed/success');
  }));

test('by force while files are being replaced: the install goes on, and the server is told of its set', () =>
  withFleet(
    async (device) => {
      const spec = device.usual('2.0.0');
      const well = join(device.folder, 'well');
      const health = { exec: ['/bin/sh', '-c', `test -e ${well}`], timeout_s: 20 };
      const modules = spec.modules.map((module, index) => (index === 0 ? { ...module, health } : module));
      const id = await device.order({ ...spec, modules });
      const daemon = await device.join(['--fleet-set-name', 'printer']);
      await until('it is switched', async () => (await daemon.progress()).message === 'starting services');
      device.server.ddi.forceCancel(id);
      writeFileSync(well, '');
      await daemon.reach('success');
      await until('the set is told', async () => {
        await askFleet(daemon, { poll: true });
        return device.server.ddi.state.installed === 'printer:2.0.0';
      });
      assert.is(device.server.ddi.action(id).state, 'canceled');
      for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
      const told = device.server.log().filter((line) => line.startsWith('PUT /installedBase'));
      assert.equal(told, ['PUT /installedBase -> 201'], 'once');
    },
    { sets: ['printer:2.0.0'] },
  ));

test('of an order that nobody here knows: agreed to', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'));
    device.server.ddi.cancel(id);
    assert.equal(await device.ends(await device.join(), id, 'canceled'), ['cancel:closed/success']);
  }));

test('a second order while the first is carried out: the first is cancelled, the second installed', () =>
  withFleet(async (device) => {
    const first = await device.order(device.usual('2.0.0'), { window: 'closed' });
    const daemon = await device.join();
    await daemon.reach('toInstall');
    const second = await device.order(device.usual('3.0.0'));
    await device.ends(daemon, second, 'finished');
    assert.is(device.server.ddi.action(first).state, 'canceled');
    assert.equal(device.running(), ['alpha 3.0.0', 'beta 3.0.0']);
  }));

test('an order that the server closes by itself, another in its place, without a word', () =>
  withFleet(async (device) => {
    device.server.ddi.autoclose = true;
    const first = await device.order(device.usual('2.0.0'), { window: 'closed' });
    const daemon = await device.join();
    await daemon.reach('toInstall');
    const second = await device.order(device.usual('3.0.0'));
    await device.ends(daemon, second, 'finished');
    assert.is(device.server.ddi.action(first).told.includes('closed/failure'), false);
    assert.equal(device.running(), ['alpha 3.0.0', 'beta 3.0.0']);
  }));

test('a heavier order beside ours: ours is carried out first, and told', () =>
  withFleet(async (device) => {
    device.server.ddi.multiAssignments = true;
    const first = await device.order(device.usual('2.0.0'), { window: 'closed', weight: 100 });
    const daemon = await device.join();
    await daemon.reach('toInstall');
    const second = await device.order(device.usual('3.0.0'), { weight: 900 });
    for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
    assert.is((await daemon.progress()).stage, 'toInstall');
    await daemon.post('update', { version: '2.0.0' });
    await device.ends(daemon, first, 'finished');
    await device.ends(daemon, second, 'finished');
    assert.equal(device.running(), ['alpha 3.0.0', 'beta 3.0.0']);
  }));

test('an order that is gone at the server: the package goes, nothing is told', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { window: 'closed' });
    const daemon = await device.join();
    await daemon.reach('toInstall');
    device.server.ddi.forceCancel(id);
    await until('it is given up', async () => {
      await askFleet(daemon, { poll: true });
      return (await daemon.progress()).stage === 'idle';
    });
    assert.is((await askFleet(daemon)).data.last?.outcome, 'gone');
  }));

test.run();
