/**
 * `make fleet-test`: the built daemon as a device of gooseBit, a real server: forced orders, failing health, a cancel on the device,
 * a daemon that is killed, and every end told. Apart from `make test`, as the server comes from PyPI; says so and is skipped where it
 * cannot be had.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../../fixtures/package-builder.ts';
import { type Daemon, until } from '../../integration/daemon.ts';
import { type Device, withDevice } from '../../integration/harness.ts';
import { concurrently } from '../../runner/concurrently.ts';
import { askFleet } from '../device.ts';
import { type Goosebit, missingGoosebit, startGoosebit } from './server.ts';

const names = ['forced', 'unwell', 'cancelled', 'killed', 'unknown'] as const;
type Name = (typeof names)[number];
const tokenOf = (name: Name) => `token-of-${name}`;

interface Member extends Device {
  readonly server: Goosebit;
  join(token?: string): Promise<Daemon>;
  order(spec: PackageSpec): Promise<void>;
  /** Waits until the server has heard of that end, and of those words with it. */
  ends(daemon: Daemon, state: 'Finished' | 'Error', words: RegExp): Promise<void>;
}

const missing = missingGoosebit();
if (missing === undefined) await run();
else console.log(`skipped: fleet-test: ${missing}`);

async function run(): Promise<void> {
  const test = concurrently('a device of gooseBit', 2);
  const server = await startGoosebit(Object.fromEntries(names.map((name) => [name, tokenOf(name)])));
  process.once('exit', () => void server.close());
  let left = names.length;

  const scenario = (name: Name, what: string, use: (member: Member) => Promise<void>) =>
    test(what, async () => {
      try {
        await withDevice((device) => use(memberOf(device, server, name)));
      } catch (thrown) {
        console.log(server.said().slice(-10_000));
        throw thrown;
      } finally {
        left -= 1;
        if (left === 0) await server.close();
      }
    });

  scenario(
    'forced',
    'a forced order is installed and told, once, however often it is offered',
    async (device) => {
      await device.order(device.usual('2.0.0'));
      const daemon = await device.join();
      await device.ends(daemon, 'Finished', /installed 2\.0\.0/);
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
      await until(
        'the version is told',
        async () => (await device.server.device('forced')).version === '2.0.0',
      );
      for (let polls = 0; polls < 3; polls++) await askFleet(daemon, { poll: true });
      assert.is((await daemon.get<{ updates: unknown[] }>('history')).data.updates.length, 1);
      assert.equal((await askFleet(daemon)).data.owed, null);
    },
  );

  scenario(
    'unwell',
    'a new version that is not well is told as a failure, and the old one runs',
    async (device) => {
      const spec = device.usual('2.0.0');
      const always = { health: { exec: ['/bin/false'], timeout_s: 1 } };
      const modules = spec.modules.map((module, index) => (index === 0 ? { ...module, ...always } : module));
      await device.order({ ...spec, modules });
      await device.ends(await device.join(), 'Error', /HEALTH_CHECK_FAILED: /);
      assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
    },
  );

  scenario('cancelled', 'a cancel on the device ends the order, and is told as such', async (device) => {
    const daemon = await device.join();
    await daemon.post('hold', { owner: 'device-api', reason: 'a print is running', ttl_s: 60 });
    await device.order(device.usual('2.0.0'));
    await reach(daemon, 'installing');
    await daemon.post('cancel');
    await device.ends(daemon, 'Error', /CANCELLED: cancelled on the device/);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  });

  scenario(
    'killed',
    'a daemon that is killed goes on with the order, and tells its one end',
    async (device) => {
      const first = await device.join();
      await first.post('hold', { owner: 'device-api', reason: 'a print is running', ttl_s: 60 });
      await device.order(device.usual('2.0.0'));
      await reach(first, 'installing');
      await first.end('SIGKILL');
      const second = await device.join();
      await second.post('release', { owner: 'device-api' });
      await device.ends(second, 'Finished', /installed 2\.0\.0/);
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    },
  );

  scenario('unknown', 'a wrong token is answered 401, and nothing is ordered', async (device) => {
    await device.order(device.usual('2.0.0'));
    const daemon = await device.join('wrong');
    await until('a poll has failed', async () => (await askFleet(daemon)).data.problem !== null);
    assert.match((await askFleet(daemon)).data.problem ?? '', /^GET \/: HTTP 401/);
    assert.is((await device.server.device('unknown')).log, '');
  });

  test.run();
}

/** Asks the server until the stage is reached: gooseBit says how often to poll, and that is a minute. */
async function reach(daemon: Daemon, stage: string): Promise<void> {
  await until(`stage ${stage}`, async () => {
    await askFleet(daemon, { poll: true });
    return (await daemon.progress()).stage === stage;
  });
}

function memberOf(device: Device, server: Goosebit, name: Name): Member {
  const tokenFile = join(device.folder, 'token');
  return {
    ...device,
    server,
    join: async (token = tokenOf(name)) => {
      writeFileSync(tokenFile, token);
      chmodSync(tokenFile, 0o600);
      const daemon = await device.start([
        '--fleet-url',
        server.url,
        '--fleet-id',
        name,
        '--fleet-token-file',
        tokenFile,
      ]);
      await askFleet(daemon, { poll: true });
      return daemon;
    },
    order: async (spec) => {
      const { package_name: packageName } = await device.offer(spec);
      // Each device has its own services, so also its own package.
      const path = join(device.folder, 'store', packageName);
      server.order(name, spec.version, { name: `${name}-${packageName}`, path });
    },
    ends: async (daemon, state, words) => {
      let heard = '';
      await until(
        () => `${state}, ${words}; the server has ${heard}`,
        async () => {
          await askFleet(daemon, { poll: true }).catch(() => undefined);
          const told = await server.device(name);
          heard = JSON.stringify(told);
          return told.state === state && words.test(told.log);
        },
      );
    },
  };
}
