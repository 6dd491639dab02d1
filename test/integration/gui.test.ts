/** The optional progress display (FR-022, FR-023): launched when it is there, and never a reason to fail. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as assert from 'uvu/assert';
import { concurrently } from '../runner/concurrently.ts';
import { type Daemon, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';

const tests = concurrently('ota-gui');

/** A display of its own name, so that it is never taken for that of another test. */
function displayOf(device: Device, script: string): string {
  const path = join(device.folder, `gui-${basename(device.folder)}`);
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

async function updatesWith(device: Device, gui: string): Promise<Daemon> {
  const daemon = await device.start(['--gui', gui]);
  const spec = {
    version: '2.0.0',
    modules: [{ name: 'data', src: 'model.bin', dst: device.dataFile }],
    files: { 'model.bin': 'new' },
  };
  const { stage, error } = await device.install(daemon, spec);
  assert.is(stage, 'success', error ?? '');
  return daemon;
}

tests('is launched when an install begins, and may outlive the update', () =>
  withDevice(async (device) => {
    const mark = join(device.folder, 'mark');
    const gui = displayOf(
      device,
      `#!/bin/sh\necho $$ > '${mark}.new'; mv '${mark}.new' '${mark}'; exec sleep 20\n`,
    );
    const daemon = await updatesWith(device, gui);
    const pid = await until('it ran', () => existsSync(mark) && Number(readFileSync(mark, 'utf8')));
    assert.match(daemon.printed(), /progress display started/);
    assert.ok(process.kill(pid, 0));
    process.kill(pid, 'SIGKILL');
  }),
);

tests.long('that is missing is logged, and the update goes on', () =>
  withDevice(async (device) => {
    const daemon = await updatesWith(device, join(device.folder, 'nowhere'));
    assert.match(daemon.printed(), /no progress display: .*nowhere is not there/);
  }),
);

const broken: readonly (readonly [string, string, RegExp])[] = [
  ['crashes', '#!/bin/sh\nkill -SEGV $$\n', /WARN .*ended with SIGSEGV/],
  ['fails', '#!/bin/sh\nexit 7\n', /WARN .*ended with 7/],
  ['is no program', 'text\u0000', /WARN .*progress display/],
];
for (const [what, script, says] of broken) {
  tests.long(`that ${what} is logged, and the update goes on`, () =>
    withDevice(async (device) => {
      const daemon = await updatesWith(device, displayOf(device, script));
      await until(
        () => `its end is logged:\n${daemon.printed()}`,
        () => says.test(daemon.printed()),
        10_000,
      );
    }),
  );
}

tests.long('that cannot be executed is logged, and the update goes on', () =>
  withDevice(async (device) => {
    const path = join(device.folder, `gui-${basename(device.folder)}`);
    mkdirSync(path);
    const daemon = await updatesWith(device, path);
    assert.match(daemon.printed(), /WARN .*progress display .* not started/);
  }),
);

tests.run();
