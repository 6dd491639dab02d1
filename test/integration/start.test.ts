/** How the daemon starts, or says why it does not: port, work directory, flags, configuration file, directories. */
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { concurrently } from '../runner/concurrently.ts';
import { runToEnd, startDaemon, until } from './daemon.ts';
import { withDevice } from './harness.ts';

const tests = concurrently('a start');

tests('on a port that is taken names the port, ends with 1 at once, and touches nothing', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const port = new URL(daemon.url).port;
    const other = join(device.folder, 'other');
    const started = performance.now();
    const { status, stderr, stdout } = runToEnd(['run', '--port', port, '--dir', other]);
    assert.is(status, 1);
    assert.match(
      stderr,
      new RegExp(`port ${port} of 127\\.0\\.0\\.1 is taken: .* with pid ${daemon.pid} listens there`),
    );
    assert.is(stdout, '');
    assert.not(existsSync(other), 'not even the work directory was made');
    assert.ok(performance.now() - started < 10_000);
    assert.is((await daemon.progress()).stage, 'idle', 'the running one is undisturbed');
  }),
);

tests('loads nothing before it listens that only an update needs, or nobody', () =>
  withDevice(async (device) => {
    const list = join(device.folder, 'loaded');
    const probe = join(import.meta.dirname, '../fixtures/loaded-modules.cjs');
    const daemon = await startDaemon(['--dir', device.work, '--report-url', 'http://127.0.0.1:9/'], {
      NODE_OPTIONS: `--require=${probe}`,
      LOADED_MODULES: list,
    });
    await daemon.progress();
    const loaded = (await until('the list', () => existsSync(list) && readFileSync(list, 'utf8'))).split(
      '\n',
    );
    await daemon.end('SIGTERM');
    assert.ok(loaded.includes('http'), 'the list has what is loaded');
    const late = ['crypto', 'zlib', 'perf_hooks', 'timers/promises', 'tls', 'https', 'worker_threads', 'v8'];
    assert.equal(
      late.filter((name) => loaded.includes(name)),
      [],
    );
  }),
);

tests('on a port of another program says so too', () =>
  withDevice(async (device) => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    const { status, stderr } = runToEnd(['run', '--port', port, '--dir', device.work]);
    server.close();
    assert.is(status, 1);
    assert.match(stderr, new RegExp(`port ${port} .*taken`));
  }),
);

tests(
  'in the work directory of a running one is refused, by any path to it, before anything is touched',
  () =>
    withDevice(async (device) => {
      await device.start();
      const request = await device.offer(device.usual('2.0.0'));
      const alias = join(device.folder, 'alias');
      symlinkSync(device.work, alias);
      writeFileSync(join(device.work, 'tmp', request.package_name), 'somebody else’s');
      // The running one answers before its last line of the start has reached the log file.
      const log = join(device.work, 'logs/updater.log');
      await until('it says so in its log', () => readFileSync(log, 'utf8').includes('listening on'));
      const before = device
        .namesBelow(device.work)
        .map((name) => `${name} ${statSync(join(device.work, name)).mtimeMs}`);
      for (const path of [device.work, alias]) {
        const { status, stderr } = runToEnd(['run', '--port', '0', '--dir', path]);
        assert.is(status, 1);
        assert.match(stderr, /another tope-updater works in /);
      }
      const after = device
        .namesBelow(device.work)
        .map((name) => `${name} ${statSync(join(device.work, name)).mtimeMs}`);
      assert.equal(after, before);
    }),
);

tests('after a kill -9 is free to take the work directory', () =>
  withDevice(async (device) => {
    const first = await device.start();
    assert.is(await first.end('SIGKILL'), 'SIGKILL');
    await device.start();
  }),
);

tests('begins the output of a program anew that has grown beyond its bound', () =>
  withDevice(async (device) => {
    const output = join(device.work, 'logs/api.out');
    mkdirSync(join(device.work, 'logs'), { recursive: true });
    writeFileSync(output, 'x'.repeat(2 * 1024 * 1024));
    await device.start();
    await until('it is empty', () => statSync(output).size === 0);
    assert.is(statSync(`${output}.1`).size, 1024 * 1024);
  }),
);

tests('makes the directories tmp, logs and backups, 0755, whatever the umask', () =>
  withDevice(async (device) => {
    const work = join(device.folder, 'a-new-one');
    const umask = process.umask(0o077);
    const starting = device.start(['--dir', work]);
    process.umask(umask);
    await starting;
    const modes = ['', 'tmp', 'logs', 'backups'].map((name) =>
      (statSync(join(work, name)).mode & 0o777).toString(8),
    );
    assert.equal(modes, ['755', '755', '755', '755']);
  }),
);

tests('is called tope-updater by ps and top', () =>
  withDevice(async (device) => {
    const { pid } = await device.start();
    assert.is(readFileSync(`/proc/${pid}/comm`, 'utf8'), 'tope-updater\n');
  }),
);

tests('says at once which file of TLS is missing, and starts all the same', () =>
  withDevice(async (device) => {
    await device.start(['--ca-file', '/none/ca.pem']);
    const log = readFileSync(join(device.work, 'logs/updater.log'), 'utf8');
    assert.match(
      log,
      /ERROR ca_file: \/none\/ca\.pem cannot be read: ENOENT: no package can be downloaded over https/,
    );
  }),
);

tests('writes the log with ISO 8601 times and levels, the same lines on stdout', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await daemon.post('update', { version: '2.0.0' });
    await daemon.end('SIGTERM');
    const lines = readFileSync(join(device.work, 'logs/updater.log'), 'utf8').trimEnd().split('\n');
    assert.equal(daemon.printed().trimEnd().split('\n'), lines);
    assert.ok(lines.length > 4);
    for (const line of lines)
      assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO |WARN |ERROR) \S/);
    assert.ok(lines.some((line) => /WARN .*DOWNLOAD_INCOMPLETE/.test(line)));
  }),
);

const wrongFlags: readonly (readonly [readonly string[], RegExp])[] = [
  [['--prot', '1'], /--prot/],
  [['--port', '70000'], /--port/],
  [['--port', 'http'], /--port/],
  [['--port'], /--port/],
  [['--log-level', 'loud'], /--log-level/],
  [['--allow-root', 'opt'], /--allow-root/],
  [['--report-url', 'ftp://127.0.0.1/'], /--report-url/],
  [['--gui', 'gui'], /--gui/],
  [['--config', '/nowhere/config.json'], /--config.*\/nowhere\/config\.json/],
  [['everything'], /everything/],
];
tests('with a wrong flag ends with 2 and names it', async () => {
  for (const [flags, says] of wrongFlags) {
    const { status, stderr } = runToEnd(['run', ...flags]);
    assert.equal([flags, status], [flags, 2]);
    assert.match(stderr, says);
  }
});

tests('with an unknown command, or none, ends with 2 and shows the way to the help', async () => {
  for (const args of [['fly'], []]) {
    const { status, stderr } = runToEnd(args);
    assert.is(status, 2);
    assert.match(stderr, /help/);
  }
});

tests('with a wrong configuration file ends with 2 and names the key', () =>
  withDevice(async (device) => {
    const path = join(device.folder, 'config.json');
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['{"porst": 1}', /"porst"/],
      ['{"port": "http"}', /port/],
      ['{"allow_root": "opt"}', /allow_root/],
      ['{"allow_http": "yes"}', /allow_http/],
      ['{"port": 1', /config file: is not JSON/],
      ['[]', /config file: must be a JSON object/],
    ];
    for (const [text, says] of wrong) {
      writeFileSync(path, text);
      const { status, stderr } = runToEnd(['run', '--config', path]);
      assert.equal([text, status], [text, 2]);
      assert.match(stderr, says);
    }
  }),
);

tests('takes the configuration file where no flag is given, and the flag where one is', () =>
  withDevice(async (device) => {
    const path = join(device.folder, 'config.json');
    const [fromFile, fromFlag] = [join(device.folder, 'from-file'), join(device.folder, 'from-flag')];
    writeFileSync(path, JSON.stringify({ dir: fromFile, log_level: 'error', port: 1 }));
    const first = await startDaemon(['--config', path, '--log-level', 'info']);
    assert.ok(existsSync(join(fromFile, 'tmp')));
    await first.end('SIGTERM');
    const second = await startDaemon(['--config', path, '--log-level', 'info', '--dir', fromFlag]);
    assert.ok(existsSync(join(fromFlag, 'tmp')));
    await second.end('SIGTERM');
  }),
);

tests('with --help and --version writes to stdout and ends with 0', async () => {
  for (const [args, says] of [
    [['--help'], /usage: tope-updater/],
    [['run', '--help'], /--allow-root DIR/],
    [['--version'], /^tope-updater \d+\.\d+\.\d+(-dev)?\n$/],
  ] as const) {
    const { status, stdout, stderr } = runToEnd(args);
    assert.equal([status, stderr], [0, '']);
    assert.match(stdout, says);
  }
});

tests('in a work directory that cannot be had ends with 1 and says why', () =>
  withDevice(async (device) => {
    const file = join(device.folder, 'a-file');
    writeFileSync(file, '');
    mkdirSync(join(device.folder, 'b'));
    writeFileSync(join(device.folder, 'b/tmp'), '');
    for (const path of [file, join(file, 'below'), join(device.folder, 'b')]) {
      const { status, stderr } = runToEnd(['run', '--port', '0', '--dir', path]);
      assert.equal([path, status], [path, 1]);
      assert.match(stderr, /a-file|b\/tmp/);
    }
  }),
);

tests.run();
