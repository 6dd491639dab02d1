/** Starters of every kind: packed without a warning, read by verify, and installed on a device as they are. */
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type StarterKind, starterFiles, starterKinds } from '../../src/pack/starter.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { withSource } from '../pack/source-folder.ts';
import { suite } from '../runner/suites.ts';
import { command } from './command.ts';

const test = suite('init');

for (const kind of starterKinds) {
  test(`${kind}: is packed as it is, without a warning`, async () => {
    const [manifest, ...files] = starterFiles(kind);
    await withSource(manifest?.text ?? '', async (source) => {
      for (const { path, mode, text } of files) source.write(path, text, mode);
      const { warnings } = await source.pack();
      assert.equal(warnings, []);
    });
  });
}

test('a folder that is not there is told with what pack takes', async () => {
  const { status, stderr } = await command(['pack', 'nowhere']);
  assert.is(status, 1);
  assert.match(
    stderr,
    /cannot read nowhere: there is no such file or folder\n {2}pack takes a folder with a manifest\.json.* init/,
  );
});

/** Writes the starter, moves it from /opt/tope below this device's root, and packs it. */
async function packed(device: Device, kind: StarterKind): Promise<string> {
  const folder = join(device.folder, kind);
  const { status, stdout, stderr } = await command(['init', '--kind', kind, folder]);
  assert.is(status, 0, stderr);
  assert.match(stdout, /next: tope-updater pack/);
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    try {
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll('/opt/tope', device.root));
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EISDIR') throw thrown;
    }
  }
  const zip = join(device.folder, `${kind}.zip`);
  const made = await command(['pack', folder, '-o', zip, '--allow-root', device.root]);
  assert.is(made.status, 0, made.stderr);
  return zip;
}

for (const [kind, files] of [
  ['service', ['hello/hello', 'hello-data/greeting.txt']],
  ['web', ['web/index.html', 'web/config.json', 'web/uploads/README.txt']],
  ['config', ['config/printer.cfg', 'config/macros/start.cfg', 'config/macros/own/README.txt']],
  ['python', ['hello-py/hello.py']],
] as const) {
  const installing = kind === 'service' ? test : test.long;
  installing(`${kind}: is installed on a device, and again`, () =>
    withDevice(async (device) => {
      const zip = await packed(device, kind);
      const daemon = await device.start();
      for (const round of kind === 'python' ? ['first', 'second'] : ['first']) {
        const { status, stderr } = await command(['install', '-y', zip, '--url', daemon.url]);
        assert.is(status, 0, `${round}: ${stderr}`);
      }
      for (const file of files) assert.ok(device.namesBelow(device.root).includes(file), file);
      const [program = ''] = files;
      if (kind === 'service' || kind === 'python')
        assert.ok(isRunning(join(device.root, program)), 'its service runs at once');
      endAll(device);
    }),
  );
}

test('--dst says where the files go on the device', () =>
  withDevice(async (device) => {
    const folder = join(device.folder, 'elsewhere');
    const { stdout } = await command(['init', '--kind', 'web', '--dst', '/srv/my-app', folder]);
    assert.match(stdout, /next: tope-updater pack .* --allow-root \/srv\/my-app/);
    assert.match(readFileSync(join(folder, 'manifest.json'), 'utf8'), /"dst": "\/srv\/my-app\/web"/);
    const commands = readFileSync(join(folder, 'README.md'), 'utf8').match(
      /(?<=^ {4}tope-updater )(pack|verify) .*?(?= {2,})/gm,
    );
    for (const line of commands ?? []) {
      const done = await command(line.split(' '), { cwd: folder });
      assert.is(done.status, 0, `${line}: ${done.stderr}`);
    }
    assert.is(commands?.length, 2);
    const refused = await command(['init', '--dst', 'my app', folder]);
    assert.is(refused.status, 2);
    assert.match(refused.stderr, /--dst: must be an absolute path/);
  }));

test('verify names the commands that will run as root, and what is treated apart', () =>
  withDevice(async (device) => {
    const zip = join(device.folder, 'commands.zip');
    const dst = join(device.root, 'app');
    const keys = { before_start: [['/bin/sh', `${dst}/setup`]], keep: ['venv/**'] };
    const files = { 'app/setup': 'exit 0' };
    await buildPackage(
      { version: '1.0.0', modules: [{ name: 'app', src: 'app', dst, ...keys }], files },
      zip,
    );
    const said = await command(['verify', zip, '--allow-root', device.root]);
    assert.is(said.status, 0, said.stderr);
    assert.ok(said.stdout.includes(`app: runs before the start: /bin/sh ${dst}/setup`));
    assert.match(said.stdout, /app: never replaced or removed: venv\/\*\*/);
    const web = await command(['verify', '--json', await packed(device, 'web'), '--allow-root', device.root]);
    const [module] = JSON.parse(web.stdout).modules;
    assert.equal([module.config, module.keep, module.before_start], [['config.json'], ['uploads/**'], []]);
  }));

test('a kind that there is not is refused with those that there are', async () => {
  const { status, stderr } = await command(['init', '--kind', 'boat', '/tmp/nowhere']);
  assert.is(status, 2);
  assert.match(stderr, /--kind: must be one of service, web, python, config, not "boat"/);
});

test('a newcomer is told what comes next, what is no package, and why a small one is downloaded whole', () =>
  withDevice(async (device) => {
    const folder = join(device.folder, 'site');
    assert.is((await command(['init', '--kind', 'web', folder])).status, 0);
    const zip = join(device.folder, 'site.zip');
    assert.match(
      (await command(['pack', folder, '-o', zip])).stderr,
      /next, on a device: {2}tope-updater install site\.zip/,
    );
    for (const place of [folder, join(folder, 'manifest.json')])
      assert.is(
        (await command(['verify', place])).stderr,
        `tope-updater: ${place} is no package: tope-updater pack ${place} makes one of it\n`,
      );
    assert.is(
      (await command(['pack', zip])).stderr,
      `tope-updater: ${zip} is a package already; pack takes the folder that it is made of (tope-updater verify ${zip} looks at it)\n`,
    );
    const foretold = await command(['verify', zip, '--against', zip]);
    assert.match(
      foretold.stdout,
      /in 1 request: a package below 256 KiB is downloaded whole, as asking for parts/,
    );
    assert.match((await command(['init', '--kind', 'pyton', folder])).stderr, /did you mean "python"\?/);
  }));

test('a symlink that leaves its tree, as those of a virtual environment, is refused with what helps', () =>
  withDevice(async (device) => {
    const folder = join(device.folder, 'linked');
    assert.is((await command(['init', '--kind', 'web', folder])).status, 0);
    symlinkSync('/usr/bin/python3', join(folder, 'modules/web/python'));
    const { status, stderr } = await command(['pack', folder, '-o', join(device.folder, 'linked.zip')]);
    assert.is(status, 1);
    assert.match(
      stderr,
      /is a symlink to "\/usr\/bin\/python3", which is absolute\n {2}the symlinks of a tree must be relative/,
    );
    assert.match(stderr, /python3 -m venv --copies/);
  }));

/** What the starter's service has started. */
function endAll(device: Device): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const words = commandLine(pid);
    if (words.some((word) => word.startsWith(device.root))) process.kill(Number(pid), 'SIGKILL');
  }
}

function isRunning(program: string): boolean {
  return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(program));
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

test.run();
