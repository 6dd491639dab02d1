/**
 * The examples of docs/integration.md are run against the built daemon: each takes a device through a whole update, and
 * tells a refusal and a failed update from it. A language that is not on this machine is skipped, and said.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, freePort } from '../integration/daemon.ts';
import { type Device, withDevice } from '../integration/harness.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'docs/examples');
const test = suite('examples for device-api authors');

interface Example {
  readonly file: string;
  /** Shows that the language is there. */
  readonly probe: readonly [string, ...string[]];
  readonly run: readonly [string, ...string[]];
  readonly option: '-' | '--';
}

const examples: readonly Example[] = [
  { file: 'device_api.py', probe: ['python3', '--version'], run: ['python3'], option: '--' },
  { file: 'device_api.go', probe: ['go', 'version'], run: ['go', 'run'], option: '-' },
  {
    file: 'device-api.ts',
    probe: [process.execPath, '--version'],
    run: [process.execPath, '--import', 'tsx'],
    option: '--',
  },
];

for (const example of examples) {
  const { file, probe } = example;
  const isHere = spawnSync(probe[0], probe.slice(1), { timeout: 20_000 }).status === 0;
  if (!isHere) console.log(`skipped: docs/examples/${file}: ${probe[0]} is not installed`);
  const testOrSkip = isHere ? test : test.skip;

  testOrSkip(`${file} installs an update, and waits for a print to end`, () =>
    withDevice(async (device) => {
      const request = await device.offer(device.usual('2.0.0'));
      const { status, output, daemonLog } = await runExample(device, example, request);
      assert.is(status, 0, output);
      assert.match(output, /^download: downloading$/m);
      assert.match(output, /^update: installing$/m);
      assert.match(output, /^end: success +2\.0\.0 success$/m);
      for (const stage of ['downloading', 'toInstall', 'installing', 'success'])
        assert.match(output, new RegExp(`^report: ${stage} `, 'm'));
      assert.match(daemonLog, /updates are held by device-api until .*: a print is running/);
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    }),
  );

  testOrSkip(`${file} tells why an update failed, and why a request is refused`, () =>
    withDevice(async (device) => {
      const request = await device.offer(device.usual('2.0.0'));
      const wrong = { ...request, package_md5: '0'.repeat(32) };
      const failed = await runExample(device, example, wrong);
      assert.is(failed.status, 1, failed.output);
      assert.match(failed.output, /^end: failed MD5_MISMATCH: .*expected 0{32}/m, failed.output);
      const refused = await runExample(device, example, { ...request, package_size: 0 });
      assert.is(refused.status, 1, refused.output);
      assert.match(refused.output, /^refused: VALIDATION_ERROR: package_size: /m, refused.output);
      assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
    }),
  );

  testOrSkip(`${file} takes an update that somebody cancels for none`, () =>
    withDevice(async (device) => {
      const request = await device.offer(device.usual('2.0.0'));
      device.store.throttle(0);
      const { status, output } = await runExample(device, example, request, async (daemon) => {
        await daemon.reach('downloading');
        await daemon.post('cancel');
      });
      assert.is(status, 1, output);
      assert.match(output, /^end: idle *$/m);
    }),
  );
}

test('every example is named by docs/integration.md', () => {
  const page = readFileSync(join(root, 'docs/integration.md'), 'utf8');
  for (const { file } of examples) assert.ok(page.includes(`](examples/${file})`), file);
});

test.run();

/** Starts a daemon that reports to the example, runs the example to its end, and ends the daemon. */
async function runExample(
  device: Device,
  { file, run, option }: Example,
  request: object,
  meanwhile: (daemon: Daemon) => Promise<void> = async () => undefined,
): Promise<{ status: number | null; output: string; daemonLog: string }> {
  const port = await freePort();
  const daemon = await device.start(['--report-url', `http://127.0.0.1:${port}/api/v1.0/ota/report`]);
  const requestFile = join(device.folder, 'request.json');
  writeFileSync(requestFile, JSON.stringify(request));
  const flags = [`${option}updater`, daemon.url, `${option}listen`, String(port), requestFile];
  const [command, ...first] = run;
  const child = spawn(command, [...first, join(folder, file), ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
    // Nothing is fetched: the examples need the standard libraries alone.
    env: { ...process.env, GOTOOLCHAIN: 'local', GOPROXY: 'off', GOFLAGS: '' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await meanwhile(daemon);
  const status = await ended;
  await daemon.end('SIGTERM');
  return { status, output, daemonLog: daemon.printed() };
}
