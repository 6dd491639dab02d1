/** Each kind of assignment, and each kind of server: what it does on a device. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { goosebit, hawkbit09 } from '../fixtures/ddi-model.ts';
import { until } from '../integration/daemon.ts';
import { askFleet, tells, withFleet } from './device.ts';

const test = suite('assignments of a fleet');

test('a soft order is installed by itself', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { type: 'soft' });
    const daemon = await device.join();
    await device.ends(daemon, id, 'finished');
  }));

for (const how of ['here', 'locally', 'by the operator', 'at its hour'] as const)
  test(`a soft order that asks is installed with consent, or as soon as it is forced: ${how}`, () =>
    withFleet(async (device) => {
      const forcedFromMs = Date.now() + 3_600_000;
      const type = how === 'at its hour' ? 'timeforced' : 'soft';
      const id = await device.order(device.usual('2.0.0'), { type, forcedFromMs });
      const daemon = await device.join(['--fleet-soft', 'ask']);
      await until('it waits', async () => {
        await askFleet(daemon, { poll: true });
        return (await askFleet(daemon)).data.order?.waits_for === 'consent';
      });
      assert.match((await daemon.progress()).message, /waits for your consent/);
      if (how === 'here') assert.is((await askFleet(daemon, { confirm: true })).code, 200);
      if (how === 'locally') assert.is((await daemon.post('update', { version: '2.0.0' })).code, 200);
      if (how === 'at its hour') device.server.ddi.now = () => forcedFromMs;
      if (how === 'by the operator') device.server.ddi.change(id, { type: 'forced' });
      const told = await device.ends(daemon, id, 'finished');
      assert.ok(told.includes('scheduled/none'));
    }));

test('consent that is refused ends the order', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { type: 'soft' });
    const daemon = await device.join(['--fleet-soft', 'ask']);
    await until('it waits', async () => {
      await askFleet(daemon, { poll: true });
      return (await askFleet(daemon)).data.order?.waits_for === 'consent';
    });
    await askFleet(daemon, { confirm: false });
    await device.ends(daemon, id, 'error');
    assert.match(device.server.ddi.action(id).details[0] ?? '', /CANCELLED: cancelled on the device/);
  }));

test('a question of the server is shown; a no is told once, a yes begins the order', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { confirm: true });
    const daemon = await device.join();
    assert.match(
      (await askFleet(daemon, { confirm: true })).msg,
      /^VALIDATION_ERROR: confirm: nothing waits|^success/,
    );
    await until('it asks', async () => (await askFleet(daemon)).data.question?.version === '2.0.0');
    assert.match((await daemon.progress()).message, /waits for your consent to version 2\.0\.0/);
    await askFleet(daemon, { confirm: false });
    await until('the no is told', () => device.server.ddi.action(id).told.includes('confirm:denied'));
    await until(
      'the no is remembered',
      async () => (await askFleet(daemon)).data.question?.declined === true,
    );
    for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
    await askFleet(daemon, { confirm: true });
    const told = await device.ends(daemon, id, 'finished');
    assert.equal(
      told.filter((word) => word.startsWith('confirm')),
      ['confirm:denied', 'confirm:confirmed'],
    );
  }));

test('a device that may answers questions by itself', () =>
  withFleet(async (device) => {
    const id = await device.order(device.usual('2.0.0'), { confirm: true });
    const daemon = await device.join(['--fleet-confirm', 'auto']);
    assert.is((await device.ends(daemon, id, 'finished'))[0], 'confirm:confirmed');
  }));

test('an install that waits for a hold says for whom', () =>
  withFleet(async (device) => {
    const daemon = await device.join();
    const hold = { owner: 'device-api', reason: 'a print is running', ttl_s: 60 };
    const headers = { 'content-type': 'application/json' };
    await fetch(`${daemon.url}/api/v1.0/hold`, { method: 'POST', headers, body: JSON.stringify(hold) });
    const id = await device.order(device.usual('2.0.0'));
    await askFleet(daemon, { poll: true });
    await until(
      'the hold is told',
      () => device.server.ddi.action(id).details[0] === 'waiting for device-api: a print is running',
    );
    await fetch(`${daemon.url}/api/v1.0/release`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ owner: 'device-api' }),
    });
    await device.ends(daemon, id, 'finished');
  }));

test('a lower version is refused, and installed where the module allows it', () =>
  withFleet(async (device) => {
    const daemon = await device.join();
    await device.ends(daemon, await device.order(device.usual('2.0.0')), 'finished');
    // Oftener than a failing package is tried in a day.
    for (let times = 0; times < 4; times++) {
      const refused = await device.order(device.usual('1.5.0'));
      await device.ends(daemon, refused, 'error');
      assert.match(device.server.ddi.action(refused).details[0] ?? '', /^DOWNGRADE_REFUSED: /);
    }
    await until('its package is gone', async () => (await daemon.progress()).stage !== 'toInstall');
    const files = ['package-1.5.0.zip'];
    const metadata = { 'tope.allow_downgrade': 'true' };
    const allowed = device.server.ddi.assign({
      modules: [{ name: 'printer', version: '1.5.0', files, metadata }],
    });
    await device.ends(daemon, allowed, 'finished');
    assert.equal(device.running(), ['alpha 1.5.0', 'beta 1.5.0']);
  }));

test('a set of two modules with files is refused by their names', () =>
  withFleet(async (device) => {
    const modules = ['printer', 'firmware'].map((name) => ({
      name,
      version: '2.0.0',
      files: [`${name}.zip`],
    }));
    const id = device.server.ddi.assign({ modules });
    await device.ends(await device.join(), id, 'error');
    assert.match(
      device.server.ddi.action(id).details[0] ?? '',
      /INVALID_PACKAGE: .*printer\.zip, firmware\.zip/,
    );
  }));

test('hawkBit 0.9, whose ETags are bare', () =>
  withFleet(
    async (device) => {
      const id = await device.order(device.usual('2.0.0'));
      await device.ends(await device.join(), id, 'finished');
    },
    { flavour: hawkbit09 },
  ));

test('a server that offers an id again after its end is told once more, and nothing is installed twice', () =>
  withFleet(
    async (device) => {
      const id = await device.order(device.usual('2.0.0'));
      const daemon = await device.join();
      await device.ends(daemon, id, 'finished');
      await tells(device, { sw_version: '2.0.0' });
      device.server.ddi.state.attributes = {};
      for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
      assert.is((await daemon.get<{ updates: unknown[] }>('history')).data.updates.length, 1);
    },
    { flavour: { ...goosebit, hashes: ['sha1', 'md5', 'sha256'] } },
  ));

test('a server that tells SHA-1 alone is refused in words', () =>
  withFleet(
    async (device) => {
      const id = await device.order(device.usual('2.0.0'));
      await device.ends(await device.join(), id, 'error');
      assert.match(device.server.ddi.action(id).details[0] ?? '', /no MD5: a server that tells SHA-1 alone/);
    },
    { flavour: goosebit },
  ));

test.run();
