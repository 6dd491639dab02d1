/** Orders of a fleet's server, carried out by the built daemon on a whole device, and told truly. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tells, withFleet } from './device.ts';

const test = suite('orders of a fleet');

test('a forced order is downloaded, installed and told, and the device tells what it runs', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'));
    const daemon = await device.join(['--device-type', 'printer', '--fleet-attribute', 'hw_revision=3']);
    const told = await device.ends(daemon, id, 'finished');
    assert.equal(told, ['download/none', 'downloaded/none', 'proceeding/none', 'closed/success']);
    assert.equal(device.server.ddi.action(id).details, ['installed 2.0.0']);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    await tells(device, {
      sw_version: '2.0.0',
      hw_boardname: 'printer',
      hw_revision: '3',
      last_by: 'fleet',
      last_outcome: 'success',
    });
  }));

test.run();
