/** The second update fetches only what is missing: the built daemon, a store that counts, and what is said of it. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { command } from '../cli/command.ts';
import { concurrently } from '../runner/concurrently.ts';
import { until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { installed } from './updates.ts';

const tests = concurrently('adaptive downloads', 1);

/** The same bytes for the same seed. */
function randomOf(seed: number): Buffer {
  return createHash('shake256', { outputLength: 1_500_000 }).update(String(seed)).digest();
}

const large = (seed: number) => ({ content: randomOf(seed), compress: false });

/** Three large files, one of them another in each version. */
function spec(device: Device, version: string, seed: number) {
  return {
    version,
    modules: [{ name: 'web', src: 'web', dst: join(device.root, 'web') }],
    files: { 'web/a': large(1), 'web/b': large(seed), 'web/c': large(3) },
  };
}

interface Entry {
  readonly bytes: number;
  readonly download?: { bytes_fetched: number; bytes_reused: number; requests: number };
}

tests('a third is fetched, and history, message, metrics and log say so', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, spec(device, '2.0.0', 10));
    const request = await device.offer(spec(device, '3.0.0', 20));
    const rangesBefore = device.store.ranges.length;
    await daemon.post('download', request);
    await daemon.reach('toInstall');
    assert.is((await daemon.progress()).message, '1.6 of 4.5 MB downloaded, the rest is already here');
    await daemon.post('update', { version: '3.0.0' });
    const { stage, error } = await daemon.reach('success', 'failed');
    assert.is(stage, 'success', error ?? '');
    const requests = device.store.ranges.slice(rangesBefore);
    assert.ok(
      requests.every((range) => range !== undefined),
      'never the whole',
    );
    const [entry] = (await daemon.get<{ updates: Entry[] }>('history')).data.updates;
    const download = entry?.download ?? { bytes_fetched: 0, bytes_reused: 0, requests: 0 };
    assert.ok(
      download.bytes_fetched > 1_500_000 && download.bytes_fetched < 1_600_000,
      `${download.bytes_fetched}`,
    );
    assert.ok(download.bytes_reused >= request.package_size - download.bytes_fetched);
    assert.is(download.requests, requests.length);
    const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
    assert.match(metrics, new RegExp(`^tope_updater_reused_bytes_total ${download.bytes_reused}$`, 'm'));
    const event = await command(['status', '--json', '--url', daemon.url]);
    assert.equal(JSON.parse(event.stdout).download, download);
    const { stdout } = await command(['status', '--url', daemon.url]);
    assert.match(stdout, /\ndownloaded 1\.[56] MB, [23]\.\d MB were here already\n$/);
    const log = readFileSync(join(device.work, 'logs/updater.log'), 'utf8');
    assert.match(log, /downloaded 15\d{5} bytes in \d requests; \d+ of \d+ were here already/);
  }),
);

tests('killed on the way, it goes on, and an edited file is fetched', () =>
  withDevice(async (device) => {
    const first = await device.start();
    await installed(device, first, spec(device, '2.0.0', 10));
    const path = join(device.root, 'web/c');
    const edited = readFileSync(path);
    edited.writeUInt8(edited.readUInt8(1_000_000) ^ 1, 1_000_000);
    writeFileSync(path, edited);
    const request = await device.offer(spec(device, '3.0.0', 20));
    device.store.throttle(1_000_000);
    await first.post('download', request);
    await until('half is there', async () => (await first.progress()).progress >= 50);
    await first.end('SIGKILL');
    device.store.throttle(undefined);
    const second = await device.start();
    await second.reach('toInstall');
    const { message } = await second.progress();
    assert.match(message, / MB downloaded, the rest is already here$/);
    await second.end('SIGTERM');
    const third = await device.start();
    await third.reach('toInstall');
    assert.is((await third.progress()).message, message, 'a start that finds it waiting says the same');
    await third.post('update', { version: '3.0.0' });
    const { stage, error } = await third.reach('success', 'failed');
    assert.is(stage, 'success', error ?? '');
    const [entry] = (await third.get<{ updates: Entry[] }>('history')).data.updates;
    assert.ok((entry?.download?.bytes_fetched ?? 0) < 4_000_000, JSON.stringify(entry));
    await until('no tail stays', () => device.namesBelow(join(device.work, 'tmp')).length === 0);
  }),
);

tests('turned off, the whole package is fetched', () =>
  withDevice(async (device) => {
    const daemon = await device.start(['--no-adaptive-download']);
    await installed(device, daemon, spec(device, '2.0.0', 10));
    await installed(device, daemon, spec(device, '3.0.0', 20));
    assert.equal(device.store.ranges, [undefined, undefined]);
  }),
);

tests.run();
