/**
 * A local user without any right (uid 65534) beside a running updater: what he runs under a service's name, what he puts into
 * its environment, a container's process of that name, and the mask of an access list. With the packed executable too.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { isPacked, until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

const tests = concurrently('a neighbour without rights');
const neighbour = 65534;
const notRoot = process.getuid?.() === 0 ? undefined : 'needs root';

tests.needing(notRoot, 'nothing of his runs as root, decides who a service is, or comes back', () =>
  withDevice(async (device) => {
    const open = mkdtempSync(join(tmpdir(), 'tope-neighbour-'));
    chmodSync(open, 0o777);
    const evil = join(open, 'evil');
    writeFileSync(evil, `#!/bin/sh\nid -u >>${open}/ran.$(id -u)\n`, { mode: 0o755 });
    for (const tool of ['setpriv', 'env', 'sh', 'nice', 'prlimit', 'taskset', 'nsenter', 'systemd-run'])
      copyFileSync(evil, join(open, tool));
    const program = join(open, basename(device.program('alpha')));
    copyFileSync('/bin/sleep', program);
    chmodSync(program, 0o755);
    const env = {
      PATH: `${open}:/usr/bin:/bin`,
      // The dynamic loader writes a file as whoever it loads a program for: what LD_PRELOAD would be as.
      LD_DEBUG: 'libs',
      LD_DEBUG_OUTPUT: join(open, 'loaded'),
      ENV: evil,
      BASH_ENV: evil,
    };
    const his = spawn(program, ['600'], { uid: neighbour, gid: neighbour, env, stdio: 'ignore', cwd: '/' });
    const contained = spawn('unshare', ['--pid', '--fork', '--kill-child', program, '600'], {
      stdio: 'ignore',
    });
    try {
      await until('his runs', () => readdirSync(open).some((name) => name.startsWith('loaded')));
      const inContainer = await until('the container runs', () => childOf(contained.pid ?? 0));
      const daemon = await device.start();
      await installed(device, daemon, device.usual('2.0.0'));
      assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
      assert.equal(usersOf(device), [0]);
      await rolledBack(daemon);
      assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
      assert.equal(usersOf(device), [0]);
      assert.is(statSync(`/proc/${inContainer}`).uid, 0, "the container's process was left alone");
      const written = readdirSync(open).filter((name) => /^(loaded|ran)/.test(name));
      assert.equal([...new Set(written.map((name) => statSync(join(open, name)).uid))], [neighbour]);
    } finally {
      his.kill('SIGKILL');
      contained.kill('SIGKILL');
      rmSync(open, { recursive: true });
    }
  }),
);

tests.needing(
  notRoot,
  'his directory is exchanged for a link in mid-update: that one fails, no later one',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await installed(device, daemon, device.usual('2.0.0'));
      spoilDirectory(device, neighbour);
      const { stage, error } = await device.install(daemon, withExchange(device, '3.0.0'));
      assert.is(stage, 'failed');
      assert.match(error ?? '', /^ROLLBACK_FAILED: .*still new: \S+alpha\/\S+; \d old again; .*ELOOP/);
      assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
      await until('the undo has ended', () => !existsSync(join(device.work, 'backups/journal')));
      await installed(device, daemon, dataOnly(device, '4.0.0'));
      await rolledBack(daemon);
      assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
    }),
);

tests.needing(notRoot, 'an undo that went on for ever by such a link ends at a restart', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    spoilDirectory(device, 0); // root's own link: the undo is tried again and again
    const { error } = await device.install(daemon, withExchange(device, '3.0.0'));
    assert.match(error ?? '', /^ROLLBACK_FAILED: .*ELOOP/);
    assert.ok(existsSync(join(device.work, 'backups/journal')));
    await daemon.end('SIGKILL');
    spoilDirectory(device, neighbour);
    const later = await device.start();
    await until('the undo has ended', () => !existsSync(join(device.work, 'backups/journal')));
    await installed(device, later, dataOnly(device, '4.0.0'));
  }),
);

const noLists = notRoot ?? (spawnSync('setfacl', ['--version']).error && 'setfacl is not installed');
tests.needing(noLists, 'the mask of an access list gives nobody more after an update', () =>
  withDevice(async (device) => {
    const group = 65532;
    chownSync(device.dataFile, 0, group);
    chmodSync(device.dataFile, 0o600);
    execFileSync('setfacl', ['-m', 'u:65533:rw', device.dataFile]);
    const list = () =>
      execFileSync('getfacl', ['--omit-header', '-p', device.dataFile], { encoding: 'utf8' });
    const before = list();
    const daemon = await device.start();
    await installed(device, daemon, device.usual('2.0.0'));
    assert.is(readFileSync(device.dataFile, 'utf8'), 'model of 2.0.0');
    const { mode, gid } = statSync(device.dataFile);
    assert.is(gid, group);
    // It goes over where its reader is at hand, with a mask that shows as the group's permission.
    assert.ok(list() === before || (mode & 0o777) === 0o600, list());
  }),
);

const noListCalls =
  noLists ?? (isPacked ? undefined : 'the Node of this machine cannot take an access list from an open file');
tests.needing(
  noListCalls,
  "a default access list of a service user's directory opens nothing of root's",
  () =>
    withDevice(async (device) => {
      const folder = join(device.root, 'his');
      mkdirSync(folder);
      chownSync(folder, 65533, 65533);
      execFileSync('setfacl', ['-d', '-m', 'u:65533:rwx,u:65534:rwx,g::rwx', folder]);
      const daemon = await device.start();
      await installed(device, daemon, {
        version: '2.0.0',
        modules: [{ name: 'tree', src: 'tree', dst: join(folder, 'tree') }],
        files: {
          'tree/secret.cfg': { content: 'secret', mode: 0o660 },
          'tree/sub/other': { content: 'other', mode: 0o660 },
        },
      });
      for (const name of ['tree', 'tree/secret.cfg', 'tree/sub', 'tree/sub/other']) {
        const list = execFileSync('getfacl', ['-p', join(folder, name)], { encoding: 'utf8' });
        assert.not.match(list, /default|^(user|group):\w+:|^mask/m, name);
      }
    }),
);

tests.run();

/** Gives whom the directory above alpha's. */
function spoilDirectory(device: Device, uid: number): void {
  for (const path of [device.folder, device.root]) chmodSync(path, 0o755);
  chownSync(device.root, uid, uid);
}

/** Its new version exchanges alpha's directory for a link to the root, and fails. */
function withExchange(device: Device, version: string): PackageSpec {
  const usual = device.usual(version);
  const exchange = `cd ${device.root}; mv alpha alpha.mine; ln -s / alpha; exit 1`;
  const modules = usual.modules.map((module) =>
    module.name === 'data' ? { ...module, before_start: [exchange] } : module,
  );
  return { ...usual, modules };
}

function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? undefined : Number(children);
}

/** Who runs alpha's own program, once for each process. */
function usersOf(device: Device): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(device.program('alpha'));
      } catch {
        return false;
      }
    })
    .map((pid) => statSync(`/proc/${pid}`).uid);
}
