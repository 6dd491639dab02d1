/** status, install, rollback, cancel and history against the real daemon, in a pipe, as a script would use them. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Versions } from '../../src/installed.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import type { Daemon } from '../integration/daemon.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { dataOnly, installed } from '../integration/updates.ts';
import { concurrently } from '../runner/concurrently.ts';
import { command, commandOnTerminal } from './command.ts';

const test = concurrently('operate');

/** A package beside the device's store: as if on a USB stick. */
async function stick(device: Device, version: string, bytes = 0): Promise<string> {
  const folder = join(device.folder, 'usb');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `device-${version}.zip`);
  const padding = bytes === 0 ? {} : { 'modules/model.bin': { content: { random: bytes } } };
  await buildPackage(device.usual(version, padding), path);
  return path;
}

const at = (daemon: Daemon) => ['--url', daemon.url];

test('a file is installed without any network, in words that follow the stages', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const { status, stdout, stderr } = await command([
      'install',
      '--yes',
      await stick(device, '2.0.0'),
      ...at(daemon),
    ]);
    assert.is(status, 0, stderr);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    assert.match(
      stdout,
      /toInstall: the package is verified[\s\S]*installing \d+ %: [\s\S]*success: the update/,
    );
    assert.not.ok(stdout.includes('\u001b'), 'no escape sequences in a pipe');
    assert.is(stderr, '');

    const history = await command(['history', ...at(daemon)]);
    assert.match(
      history.stdout,
      /^time \(UTC\).*\n\S+ \S+ +update +- -> 2\.0\.0 .* success +\S+ +alpha beta data\n$/,
    );
    const [line = ''] = (await command(['history', '--json', ...at(daemon)])).stdout.split('\n');
    assert.is(JSON.parse(line).version, '2.0.0');

    const rollback = await command(['rollback', '--yes', ...at(daemon)]);
    assert.is(rollback.status, 0, rollback.stderr);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  });
});

test('an install waits for a daemon that starts just now', async () => {
  await withDevice(async (device) => {
    const first = await device.start();
    await first.end('SIGTERM');
    // Below those that the kernel hands out: the command that waits may get one of these for a connection of its own.
    const port = `${20_000 + (process.pid % 10_000)}`;
    const url = `http://127.0.0.1:${port}`;
    const installing = command(['install', '--yes', await stick(device, '2.0.0'), '--url', url]);
    await device.start(['--port', port]);
    const { status, stderr } = await installing;
    assert.is(status, 0, stderr);
  });
});

test("what others have named is shown, and no terminal obeys it: a file's name, a link's target, the reason of a hold", async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const other = { name: 'other', src: 'other', dst: join(device.root, 'other') };
    await installed(device, daemon, { version: '2.0.0', modules: [other], files: { 'other/a': 'x' } });
    rmSync(join(other.dst, 'a'));
    symlinkSync('\u001b]0;title\u0007\nforged', join(other.dst, 'a'));
    writeFileSync(join(other.dst, '\u001b[31mred\nforged'), '');
    const audit = await command(['audit', ...at(daemon)]);
    assert.match(audit.stdout, /\\u001b]0;title\\u0007\\nforged/);
    assert.match(audit.stdout, /\\u001b\[31mred\\nforged/);
    assert.not.ok(audit.stdout.includes('\u001b') || /^forged/m.test(audit.stdout));

    await daemon.post('hold', { owner: 'a', reason: 'two\u2028lines \u001b[2J\u0085', ttl_s: 60 });
    await daemon.post('download', await device.offer(dataOnly(device, '2.1.0')));
    await daemon.reach('toInstall');
    await daemon.post('update', { version: '2.1.0' });
    const status = await command(['status', ...at(daemon)]);
    assert.is(status.status, 0, status.stderr);
    assert.match(status.stdout, /two\\u2028lines \\u001b\[2J\\u0085/);
  });
});

test('status tells what is installed, module by module, also without a daemon', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, dataOnly(device, '2.0.0'));
    const other = { name: 'other', src: 'other', dst: join(device.root, 'other') };
    await installed(device, daemon, { version: '2.1.0', modules: [other], files: { other: 'x' } });
    const text = 'installed: 2.1.0 (data 2.0.0, other 2.1.0)\n';
    const { stdout } = await command(['status', ...at(daemon)]);
    assert.ok(stdout.endsWith(text), stdout);
    const json = JSON.parse((await command(['status', '--json', ...at(daemon)])).stdout);
    assert.is(json.installed.version, '2.1.0');
    await daemon.end('SIGTERM');
    const here = await command(['status', '--url', 'http://127.0.0.1:1', '--dir', device.work]);
    assert.equal([here.status, here.stdout], [3, text]);
    assert.match(here.stderr, /no daemon answers/);
    const nowhere = await command(['status', '--url', 'http://127.0.0.1:1', '--dir', '/nowhere']);
    assert.equal([nowhere.status, nowhere.stdout], [3, '']);
    assert.match(nowhere.stderr, /no daemon answers, and what is installed cannot be read: .*nowhere/);
  });
});

test.long(
  'release notes are told before the install, while the package waits, and of what is installed',
  async () => {
    await withDevice(async (device) => {
      const notes = { en: 'Faster.\nQuieter.', zh: '更快。' };
      const path = join(device.folder, 'noted.zip');
      const spec = { ...dataOnly(device, '2.0.0'), manifest: { notes } };
      await buildPackage(spec, path);
      const verified = await command(['verify', path, '--allow-root', device.root]);
      assert.match(
        verified.stdout,
        /\nnotes \(en\):\n {2}Faster\.\n {2}Quieter\.\nnotes \(zh\):\n {2}更快。\n/,
      );
      let daemon = await device.start();
      const asked = await commandOnTerminal(['install', path, ...at(daemon)], {
        environment: { LANG: 'zh_CN.UTF-8' },
        on: [{ when: /\[y\/N\]/, act: ({ type }) => type('n\n') }],
      });
      assert.match(asked.stdout, /what is new:\r\n {2}更快。\r\n[\s\S]*Install it on this device\? \[y\/N\]/);

      const versions = async () => (await daemon.get('versions')).data as Versions;
      await daemon.post('download', await device.offer(spec));
      await daemon.reach('toInstall');
      assert.equal((await versions()).waiting, { version: '2.0.0', notes });
      const { stdout } = await command(['status', ...at(daemon)]);
      assert.match(
        stdout,
        /^toInstall: .*\ninstalled: nothing yet\nwhat is new:\n {2}Faster\.\n {2}Quieter\.\n$/,
      );
      await daemon.end('SIGTERM');
      daemon = await device.start();
      await daemon.reach('toInstall');
      assert.equal((await versions()).waiting, { version: '2.0.0', notes }, 'after a restart, too');
      await daemon.post('update', { version: '2.0.0' });
      await daemon.reach('success');
      const modules = [{ name: 'data', version: '2.0.0' }];
      assert.equal(await versions(), { installed: { version: '2.0.0', modules, notes }, waiting: null });
    });
  },
);

test('an update that was undone is told with what runs again', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const good = await command(['install', '-y', await stick(device, '2.0.0'), ...at(daemon)]);
    assert.is(good.status, 0, good.stderr);
    const path = join(device.folder, 'usb', 'bad.zip');
    await buildPackage(
      device.usual('2.1.0', { 'modules/alpha': { content: '#!/bin/sh\nexit 1\n', mode: 0o755 } }),
      path,
    );
    const failed = await command(['install', '-y', path, ...at(daemon)]);
    assert.is(failed.status, 1);
    assert.match(failed.stderr, /SERVICE_START_FAILED: .*\n {2}2\.0\.0 runs again\n$/);
    const { status, stdout } = await command(['status', ...at(daemon)]);
    assert.is(status, 1);
    assert.match(stdout, /^failed: SERVICE_START_FAILED: .*\n2\.0\.0 runs again\ninstalled: 2\.0\.0 /);
  });
});

test.long('status tells a failed update by its exit status, and as JSON', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const before = await command(['status', ...at(daemon)]);
    assert.equal([before.status, before.stdout], [0, 'idle: nothing to do\ninstalled: nothing yet\n']);
    const path = join(device.folder, 'outside.zip');
    const modules = [{ name: 'x', src: 'x', dst: '/elsewhere/x' }];
    await buildPackage({ version: '2.0.0', modules, files: { x: 'x' } }, path);
    const failed = await command(['install', '-y', path, ...at(daemon)]);
    assert.is(failed.status, 1);
    assert.match(failed.stderr, /^tope-updater: INVALID_MANIFEST: .*outside the allowed roots/);
    assert.not.match(failed.stdout, /INVALID_MANIFEST/, 'an error is told once');
    const after = await command(['status', '--json', ...at(daemon)]);
    assert.is(after.status, 1);
    assert.is(JSON.parse(after.stdout).stage, 'failed');
  });
});

test.long(
  'a link to a package does, and an update below the installed version has to be asked for',
  async () => {
    await withDevice(async (device) => {
      const daemon = await device.start();
      const latest = join(device.folder, 'latest.zip');
      symlinkSync(await stick(device, '2.0.0'), latest);
      assert.is((await command(['install', '-y', latest, ...at(daemon)])).status, 0);
      const older = await stick(device, '1.5.0');
      const refused = await command(['install', '-y', older, ...at(daemon)]);
      assert.is(refused.status, 1);
      assert.match(
        refused.stderr,
        /DOWNGRADE_REFUSED: 1\.5\.0 .* 2\.0\.0\n.*--allow-downgrade\n.*take 2\.0\.0 back: tope-updater rollback\n$/,
      );
      assert.is(refused.stdout, '', 'nothing was asked of the daemon');
      const asked = await commandOnTerminal(['install', older, ...at(daemon)]);
      assert.is(asked.status, 1);
      assert.match(asked.stdout, /DOWNGRADE_REFUSED/);
      assert.not.match(asked.stdout, /\[y\/N\]/, 'what is refused anyway is not asked about');
      assert.equal(device.namesBelow(join(device.work, 'tmp')), []);
      const allowed = await command(['install', '-y', '--allow-downgrade', older, ...at(daemon)]);
      assert.is(allowed.status, 0, allowed.stderr);
      assert.equal(device.running(), ['alpha 1.5.0', 'beta 1.5.0']);
    });
  },
);

test.long('over a unix socket, with a token', async () => {
  await withDevice(async (device) => {
    const [socket, tokenFile] = [join(device.folder, 'socket'), join(device.folder, 'token')];
    writeFileSync(tokenFile, 'sesame\n');
    const daemon = await device.start(['--socket', socket, '--token-file', tokenFile]);
    const without = await command(['status', '--socket', socket]);
    assert.is(without.status, 1);
    assert.match(without.stderr, /asks for a token: give the daemon's file with --token-file/);
    const other = join(device.folder, 'other-token');
    writeFileSync(other, 'abracadabra\n');
    const wrong = await command(['status', '--socket', socket, '--token-file', other]);
    assert.match(wrong.stderr, /refuses the token in \S+other-token: it is not the one that the daemon read/);
    const status = await command(['status', '--socket', socket, '--token-file', tokenFile]);
    assert.equal([status.status, status.stdout], [0, 'idle: nothing to do\ninstalled: nothing yet\n']);
    const flags = ['--socket', socket, '--token-file', tokenFile];
    const { status: installed, stderr } = await command([
      'install',
      '-y',
      await stick(device, '2.0.0'),
      ...flags,
    ]);
    assert.is(installed, 0, stderr);
    await daemon.end('SIGTERM');
  });
});

test.long(
  'the daemon may restart in the middle: the file is served on, and the download resumes',
  async () => {
    await withDevice(async (device) => {
      const bytes = 4_000_000;
      const first = await device.start(['--rate-limit', '1500000']);
      const port = new URL(first.url).port;
      let second: Promise<Daemon> | undefined;
      const { status, stdout, stderr } = await command(
        ['install', '-y', await stick(device, '2.0.0', bytes), ...at(first)],
        {
          on: [
            {
              when: /downloading [2-9]\d %/,
              act: () => {
                second = first.end('SIGTERM').then(() => device.start(['--port', port]));
              },
            },
          ],
        },
      );
      await second;
      assert.is(status, 0, `${stdout}${stderr}`);
      assert.match(stdout, /the daemon does not answer, trying again\n/);
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    });
  },
);

test.long('Ctrl-C during the download cancels it in the daemon', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start(['--rate-limit', '500000']);
    const { status, stderr } = await command(
      ['install', '-y', await stick(device, '2.0.0', 4_000_000), ...at(daemon)],
      { on: [{ when: /downloading/, act: ({ kill }) => kill('SIGINT') }] },
    );
    assert.is(status, 130);
    assert.match(stderr, /the download was cancelled/);
    assert.is((await daemon.progress()).stage, 'idle');
    const nothing = await command(['cancel', ...at(daemon)]);
    assert.equal([nothing.status, nothing.stdout], [0, 'there is nothing to cancel: idle: nothing to do\n']);
  });
});

test('cancel stops a download', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start(['--rate-limit', '100000']);
    await daemon.post(
      'download',
      await device.offer(device.usual('2.0.0', { pad: { content: { random: 2e6 } } })),
    );
    await daemon.reach('downloading');
    let isWatched: () => void = () => undefined;
    const watched = new Promise<void>((resolve) => {
      isWatched = resolve;
    });
    const watch = command(['status', '--watch', '--json', ...at(daemon)], {
      on: [
        { when: /"stage":"downloading"/, act: () => isWatched() },
        { when: /"stage":"idle"/, act: ({ kill }) => kill('SIGTERM') },
      ],
    });
    await watched;
    const { status, stdout } = await command(['cancel', '--json', ...at(daemon)]);
    assert.equal([status, stdout], [0, '{"status":"idle"}\n']);
    const events = (await watch).stdout.trim().split('\n');
    assert.is(JSON.parse(events[0] ?? '').total_bytes > 2e6, true, events[0]);
    assert.is(JSON.parse(events.at(-1) ?? '').stage, 'idle');
  });
});

const refusals: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  [
    'no consent in a pipe',
    ['install', 'PACKAGE'],
    1,
    /install asks first, but this is no terminal: give --yes/,
  ],
  ['no consent to a rollback', ['rollback'], 1, /rollback asks first/],
  ['nothing to roll back', ['rollback', '-y'], 1, /NO_BACKUP: /],
  [
    'a file that is not there',
    ['install', '-y', '/nowhere.zip'],
    1,
    /cannot read \/nowhere\.zip: there is no such file/,
  ],
  ['a folder', ['install', '-y', '/tmp'], 1, /\/tmp is not a file/],
  ['no package', ['install', '-y', '/bin/sh'], 1, /INVALID_PACKAGE: /],
  [
    'another version',
    ['install', '-y', '--release', '3.0.0', 'PACKAGE'],
    1,
    /is version 2\.0\.0, not 3\.0\.0/,
  ],
  ['a bad URL of the daemon', ['status', '--url', 'nowhere'], 2, /--url: must be an http or https URL/],
  ['two places', ['status', '--socket', '/s', '--url', 'http://[::1]'], 2, /only one of them/],
  [
    'an unreadable token',
    ['status', '--token-file', '/nowhere'],
    2,
    /--token-file: cannot read \/nowhere: there is no such file/,
  ],
  [
    'no MD5',
    ['install', '-y', '--md5', 'zz', 'http://127.0.0.1:1/p.zip'],
    2,
    /--md5: must be 32 hexadecimal/,
  ],
  ['no version', ['install', '-y', '--release', 'v1', 'PACKAGE'], 2, /--release: must be a version such as/],
  ['no version to go back to', ['rollback', '-y', 'v1'], 2, /rollback: must be a version such as/],
  [
    'a file for another machine',
    ['install', '-y', 'PACKAGE', '--url', 'http://192.0.2.1:1'],
    2,
    /on this machine only/,
  ],
];
test('refusals say what is wrong, and with which exit status', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const path = await stick(device, '2.0.0');
    for (const [what, args, expected, message] of refusals) {
      const words = args.map((word) => (word === 'PACKAGE' ? path : word));
      const place = words.some((word) => /^--(url|socket)$/.test(word)) ? [] : at(daemon);
      const { status, stderr, stdout } = await command([...words, ...place]);
      assert.is(status, expected, `${what}: ${stderr}`);
      assert.match(stderr, message, what);
      assert.is(stdout, '', what);
    }
    assert.is((await daemon.progress()).stage, 'idle');
  });
});

test('no daemon: said on stderr, with the way to start one, and exit status 3', async () => {
  const asked = [['status'], ['cancel'], ['history'], ['rollback', '-y'], ['status', '--watch']];
  for (const place of [
    ['--url', 'http://127.0.0.1:1'],
    ['--socket', '/nowhere/socket'],
  ])
    for (const args of asked) {
      const { status, stdout, stderr } = await command([...args, ...place]);
      assert.is(status, 3, args.join(' '));
      // A daemon of another test may run: status tells what that one has installed.
      if (args[0] !== 'status') assert.is(stdout, '', args.join(' '));
      assert.match(stderr, /no daemon answers at [\s\S]*systemctl start tope-updater/);
    }
});

test('what answers but is not the updater is told so', async () => {
  const server = createServer((_, response) => response.end('<h1>It works!</h1>'));
  const url = await listening(server);
  try {
    const { status, stderr } = await command(['history', '--url', url]);
    assert.is(status, 1);
    assert.match(stderr, /what answers at \S+ is not tope-updater/);
  } finally {
    server.close();
  }
});

test.long('of a URL the rest is found out: version, size and digests', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const store = createServer(answerWith(readFileSync(await stick(device, '2.0.0'))));
    const url = await listening(store);
    try {
      const { status, stderr } = await command(['install', '-y', `${url}/moved/p.zip`, ...at(daemon)]);
      assert.is(status, 0, stderr);
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);

      const wrong = await command(['install', '-y', '--size', '5', `${url}/p.zip`, ...at(daemon)]);
      assert.match(wrong.stderr, /sizeBytes is \d+, not 5/);
      const without = await command(['install', '-y', `${url}/no-ranges/p.zip`, ...at(daemon)]);
      assert.match(without.stderr, /^tope-updater: \S+ the server has no ranges.*--release/);
      const none = await command(['install', '-y', `${url}/none.zip`, ...at(daemon)]);
      assert.match(none.stderr, /none\.zip: HTTP 404/);
    } finally {
      store.close();
    }
  });
});

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A store with closed ranges and a redirect; under /no-ranges/ it ignores Range. */
function answerWith(content: Buffer): Parameters<typeof createServer>[1] {
  return ({ url = '', headers }, response) => {
    if (url.startsWith('/moved/')) return void response.writeHead(302, { location: '/p.zip' }).end();
    if (!url.endsWith('/p.zip')) return void response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    if (first === undefined || url.startsWith('/no-ranges/')) return void response.end(content);
    const end = last === '' || last === undefined ? content.length - 1 : Number(last);
    const range = `bytes ${first}-${end}/${content.length}`;
    response.writeHead(206, { 'content-range': range }).end(content.subarray(Number(first), end + 1));
  };
}

test.run();
