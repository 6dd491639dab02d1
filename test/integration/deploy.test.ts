/** What an update does to the disk: files, trees, modes, owners, filesystems, and what a rollback makes of them. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { concurrently } from '../runner/concurrently.ts';
import { until } from './daemon.ts';
import { withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

const tests = concurrently('what an update does to the disk');
const isRoot = process.getuid?.() === 0;

const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8);

tests('after a success the package and the state are removed, backups and history stay', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    await until('tmp is empty', () => device.namesBelow(join(device.work, 'tmp')).length === 0);
    assert.match((await daemon.post('rollback', { version: '9.9.9' })).msg, /^NO_BACKUP/); // waits until all is tidy
    const backups = device.namesBelow(join(device.work, 'backups'));
    const patterns = [
      /^\w+\.deployed$/,
      /^\w+\.journal$/,
      ...['alpha', 'beta', 'data'].flatMap((name) => [
        new RegExp(`^${name}\\.\\w+\\.bak$`),
        new RegExp(`^${name}\\.\\w+\\.bak/[\\w.-]+$`),
      ]),
      /^history\.jsonl$/,
    ];
    assert.is(backups.length, patterns.length, backups.join());
    for (const [index, pattern] of patterns.entries()) assert.match(backups[index] ?? '', pattern);
    for (const name of backups.filter((one) => one.endsWith('.bak')))
      assert.is(modeOf(join(device.work, 'backups', name)), '700');
    for (const name of backups.filter((one) => !one.includes('.bak')))
      assert.is(modeOf(join(device.work, 'backups', name)), '600');
  }),
);

tests('an exact directory module makes the tree under its destination that of the package', () =>
  withDevice(async (device) => {
    const tree = join(device.root, 'web');
    mkdirSync(join(tree, 'old'), { recursive: true });
    writeFileSync(join(tree, 'old/gone.html'), 'gone');
    writeFileSync(join(tree, 'index.html'), 'old index');
    const before = device.files();
    const daemon = await device.start();
    await installed(device, daemon, {
      version: '2.0.0',
      modules: [{ name: 'web', src: 'web', dst: tree, exact: true }],
      files: {
        'web/index.html': 'new index',
        'web/js/lib/app.js': 'app',
        'web/run.sh': { content: '#!/bin/sh\n', mode: 0o755 },
        'web/empty/': '',
      },
    });
    assert.equal(device.namesBelow(tree), ['empty', 'index.html', 'js', 'js/lib', 'js/lib/app.js', 'run.sh']);
    assert.is(readFileSync(join(tree, 'index.html'), 'utf8'), 'new index');
    assert.is(modeOf(join(tree, 'run.sh')), '755');

    await rolledBack(daemon);
    assert.equal(device.files(), before);
  }),
);

tests.long('directories that are missing on the way to a destination are made, 0755', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const target = join(device.root, 'new/deeper/still/file');
    await installed(device, daemon, {
      version: '2.0.0',
      modules: [{ name: 'new', src: 'file', dst: target }],
      files: { file: 'content' },
    });
    assert.is(readFileSync(target, 'utf8'), 'content');
    assert.equal(
      ['new', 'new/deeper', 'new/deeper/still'].map((path) => modeOf(join(device.root, path))),
      ['755', '755', '755'],
    );
    await rolledBack(daemon);
    assert.not(existsSync(join(device.root, 'new')), 'a rollback removes what had to be made');
  }),
);

tests.long('mode: the manifest, else that of the file it replaces, else that of the ZIP', () =>
  withDevice(async (device) => {
    const path = (name: string) => join(device.root, name);
    for (const name of ['forced', 'kept']) {
      writeFileSync(path(name), 'old');
      chmodSync(path(name), 0o640);
    }
    const daemon = await device.start();
    await installed(device, daemon, {
      version: '2.0.0',
      modules: [
        { name: 'forced', src: 'forced', dst: path('forced'), mode: '0711' },
        { name: 'kept', src: 'kept', dst: path('kept') },
        { name: 'fresh', src: 'fresh', dst: path('fresh') },
      ],
      files: Object.fromEntries(
        ['forced', 'kept', 'fresh'].map((name) => [name, { content: 'new', mode: 0o750 }]),
      ),
    });
    assert.equal(
      ['forced', 'kept', 'fresh'].map((name) => modeOf(path(name))),
      ['711', '640', '750'],
    );
  }),
);

tests.needing(
  isRoot ? undefined : 'needs root',
  'owner: the manifest, else that of the file it replaces',
  () =>
    withDevice(async (device) => {
      const path = (name: string) => join(device.root, name);
      for (const name of ['given', 'kept']) {
        writeFileSync(path(name), 'old');
        chownSync(path(name), 1234, 1235);
      }
      const daemon = await device.start();
      await installed(device, daemon, {
        version: '2.0.0',
        modules: [
          { name: 'given', src: 'a', dst: path('given'), owner: '2001:2002' },
          { name: 'named', src: 'a', dst: path('named'), owner: 'daemon' },
          { name: 'kept', src: 'a', dst: path('kept') },
        ],
        files: { a: 'new' },
      });
      const ownerOf = (name: string) => `${statSync(path(name)).uid}:${statSync(path(name)).gid}`;
      assert.equal(['given', 'named', 'kept'].map(ownerOf), ['2001:2002', '1:1', '1234:1235']);
    }),
);

tests.long('the manifest may name keys that nobody knows: they are logged and ignored', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, { ...dataOnly(device, '2.0.0'), manifest: { flavour: 'vanilla' } });
    assert.match(daemon.printed(), / WARN .*flavour/);
  }),
);

const sharedMemory = '/dev/shm';
const sameFilesystem =
  existsSync(sharedMemory) && statSync(sharedMemory).dev !== statSync(tmpdir()).dev
    ? undefined
    : `${sharedMemory} is no other filesystem`;
tests.needing(sameFilesystem, 'with the work directory on another filesystem, backups are copies', () =>
  withDevice(async (device) => {
    const work = mkdtempSync(join(sharedMemory, 'work-'));
    try {
      const before = device.files();
      const daemon = await device.start(['--dir', work]);
      await installed(device, daemon, device.usual('2.0.0'));
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
      await rolledBack(daemon);
      assert.equal(device.files(), before);
      await daemon.end('SIGTERM');
    } finally {
      rmSync(work, { recursive: true });
    }
  }),
);

tests.long('an allowed root that is a symlink on the device is followed', () =>
  withDevice(async (device) => {
    const alias = join(device.folder, 'alias');
    symlinkSync(device.root, alias);
    const daemon = await device.start(['--allow-root', alias]);
    await installed(device, daemon, {
      version: '2.0.0',
      modules: [{ name: 'data', src: 'model.bin', dst: join(alias, 'data/model.bin') }],
      files: { 'model.bin': 'by another path' },
    });
    assert.is(readFileSync(device.dataFile, 'utf8'), 'by another path');
  }),
);

tests.run();
