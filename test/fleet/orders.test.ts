/** Orders of a fleet's server, carried out by the built daemon on a whole device, and told truly. */

import * as assert from 'uvu/assert';
import { type DdiRequest, hawkbit11 } from '../fixtures/ddi-model.ts';
import { until } from '../integration/daemon.ts';
import { concurrently } from '../runner/concurrently.ts';
import { askFleet, tells, withFleet } from './device.ts';

const test = concurrently('orders of a fleet');
const always = { health: { exec: ['/bin/false'], timeout_s: 1 } };

test('a forced order is downloaded, installed and told, and the device tells what it runs', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'));
    const daemon = await device.join(['--device-type', 'printer', '--fleet-attribute', 'hw_revision=3']);
    const told = await device.ends(daemon, id, 'finished');
    assert.equal(told, ['download/none', 'downloaded/none', 'proceeding/none', 'closed/success']);
    assert.equal(device.server.ddi.action(id).details, ['installed 2.0.0']);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    const own = { sw_version: '2.0.0', hw_boardname: 'printer', hw_revision: '3' };
    await tells(device, { ...own, last_by: 'fleet', last_outcome: 'success' });
    const { data } = await askFleet(daemon);
    assert.equal([data.id, data.order, data.owed, data.last?.outcome], ['dev-1', null, null, 'success']);
  }));

test('an order whose new version is not well ends with the reason, and the old version runs', () =>
  withFleet(async (device) => {
    const spec = device.usual('2.0.0');
    const modules = spec.modules.map((module, index) => (index === 0 ? { ...module, ...always } : module));
    const id = await device.order({ ...spec, modules });
    const daemon = await device.join();
    const told = await device.ends(daemon, id, 'error');
    assert.is(told.at(-1), 'closed/failure');
    assert.match(device.server.ddi.action(id).details[0] ?? '', /^HEALTH_CHECK_FAILED: /);
    assert.is(device.server.ddi.action(id).code, 120);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
    await tells(device, { last_outcome: 'failed', last_error: 'HEALTH_CHECK_FAILED' });
  }));

test.long('what an order waits for is told in mid-poll too, and consent is taken then', () =>
  withFleet(
    async (device) => {
      await device.order(device.usual('2.0.0'), { type: 'soft' });
      const daemon = await device.join(['--fleet-soft', 'ask']);
      const waitsFor = async () => (await askFleet(daemon)).data.order?.waits_for;
      await until('it waits', async () => {
        await askFleet(daemon, { poll: true });
        return (await waitsFor()) === 'consent';
      });
      const isStuck = ({ method, path }: DdiRequest) => method === 'GET' && path.includes('/deploymentBase/');
      device.server.fail((request) => (isStuck(request) ? { kind: 'stallHead' } : undefined));
      const asked = device.server.seen.length;
      await askFleet(daemon, { poll: true });
      await until('a poll is under way', () => device.server.seen.slice(asked).some(isStuck));
      assert.is(await waitsFor(), 'consent');
      assert.is((await askFleet(daemon, { confirm: true })).code, 200);
      await daemon.reach('success');
      assert.is(await waitsFor(), undefined, 'nothing waits any more');
    },
    { flavour: { ...hawkbit11, hasQuery: false } },
  ),
);

test.long('an order to download alone ends with that; ordered for good, the package is there', () =>
  withFleet(async (device) => {
    const first = await device.order(device.usual('2.0.0'), { type: 'downloadonly' });
    const daemon = await device.join();
    assert.equal(await device.ends(daemon, first, 'downloaded'), ['download/none', 'downloaded/none']);
    assert.is((await daemon.progress()).stage, 'toInstall');
    const second = await device.order(device.usual('2.0.0'));
    const told = await device.ends(daemon, second, 'finished');
    assert.is(told.at(-1), 'closed/success');
    assert.is(device.server.log().filter((line) => line.includes('/artifacts/')).length, 1);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
  }),
);

test.long(
  'a package waits for its window, the screen says so, and it is installed when the window opens',
  () =>
    withFleet(async (device) => {
      const id = await device.order(device.usual('2.0.0'), { window: 'closed' });
      const daemon = await device.join();
      await until('it waits', async () => {
        await askFleet(daemon, { poll: true });
        return (await daemon.progress()).message.startsWith('scheduled: ');
      });
      await until('it says why', async () => (await askFleet(daemon)).data.order?.waits_for === 'window');
      assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
      device.server.ddi.change(id, { window: 'open' });
      assert.is(
        (await device.ends(daemon, id, 'finished')).filter((told) => told === 'downloaded/none').length,
        1,
      );
    }),
);

test.long('a window that passes cancels the order, and the package goes', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { window: 'closed' });
    const daemon = await device.join();
    await daemon.reach('toInstall');
    device.server.ddi.change(id, { window: 'passed' });
    assert.is((await device.ends(daemon, id, 'canceled')).at(-1), 'cancel:closed/success');
    assert.is((await daemon.progress()).stage, 'idle');
  }),
);

test.run();
