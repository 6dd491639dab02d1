/** `install --root` in its corners: what it leaves, what it refuses, who may make an image, and a build that was killed. */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { command } from '../cli/command.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import { programArgv, until } from './daemon.ts';
import { withDevice } from './harness.ts';
import { contents, install, made, site, withTree } from './image-tree.ts';
import { installed } from './updates.ts';

const test = suite('install --root');

test('record, history and journal are those of a first install on the device', () =>
  withTree((tree) =>
    withDevice(async (device) => {
      for (const name of ['alpha', 'beta'] as const) await device.stop(name);
      const first = site('1.0.0', ['index.html', 'app.js'], device.root);
      mkdirSync(join(tree, device.root), { recursive: true });
      await made(tree, first, '--dir', device.work, '--allow-root', device.root);
      const daemon = await device.start();
      await installed(device, daemon, first);
      await until('all is tidied', () => !existsSync(join(device.work, 'backups/journal')));
      const left = (work: string) => {
        const folder = join(work, 'backups');
        const names = readdirSync(folder).sort();
        // Each line but for its digest, and what tells the time and the way of the package.
        const known = names.map((name) =>
          readFileSync(join(folder, name), 'utf8')
            .replace(/^[0-9a-f]{64} /gm, '')
            .replace(/"(started_at|ended_at|startedMs)":("[^"]*"|\d+),?/g, '')
            .replace(/"sha256":[^}]*\}(?=,"modules")/, '')
            .replace(/,"download":\{[^}]*\}/, '')
            .replace(/\n\{"state":"stopping".*|\0+$/g, '')
            .replace(/,"durable":\d+/g, '')
            .replace(/\d{8}T\d{9}Z/g, 'ID'),
        );
        return Object.fromEntries(names.map((name, at) => [name.replace(/\d{8}T\d{9}Z/, 'ID'), known[at]]));
      };
      assert.equal(left(join(tree, device.work)), left(device.work));
    }),
  ));

test('two images of the same sources are the same, whatever the package declares', () =>
  withTree(async (_, folder) => {
    const spec = site('1.0.0', ['index.html']);
    const large = { ...spec, files: { ...spec.files, 'site/large.bin': { random: 100_000 } } };
    const trees = ['one', 'other'].map((name) => join(folder, name));
    for (const tree of trees) {
      mkdirSync(tree);
      await made(tree, large);
    }
    const [one = '', other = ''] = trees;
    assert.equal(contents(one), contents(other));
    assert.ok(contents(one).some((line) => line.startsWith('opt/tope/updater/backups/history.jsonl')));
  }));

test('what the device would refuse, and what no tree can do, is refused and changes nothing of it', () =>
  withTree(async (tree) => {
    mkdirSync(join(tree, 'etc'));
    writeFileSync(join(tree, 'etc/key.pub'), 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3');
    writeFileSync(join(tree, 'etc/tope.json'), JSON.stringify({ trusted_keys: ['/etc/key.pub'] }));
    const spec = site('1.0.0', ['index.html']);
    const commands = { ...spec, modules: spec.modules.map((each) => ({ ...each, before_start: ['true'] })) };
    const refused = async (how: Promise<{ status: number | string; stderr: string }>, why: RegExp) => {
      const { status, stderr } = await how;
      assert.is.not(status, 0);
      assert.match(stderr, why);
      assert.not.ok(existsSync(join(tree, 'opt/tope/site')));
    };
    await refused(install(tree, spec, '--config', join(tree, 'etc/tope.json')), /SIGNATURE/);
    await refused(install(tree, commands), /before_start of site cannot run .*\n.*--skip-commands/);
    await refused(install(tree, spec, '--dir', 'work'), /dir: "work" must be an absolute path of the device/);
    await refused(install(tree, spec, '--url', 'http://localhost'), /--url has no meaning with --root/);
    await refused(install('/', spec), /--root: \/ is this machine/);
    await refused(
      command(['install', '--skip-commands', 'x.zip']),
      /--skip-commands has a meaning with --root/,
    );
    await made(tree, commands, '--skip-commands');
    await made(tree, site('2.0.0', ['index.html']));
    const lower = await install(tree, site('1.5.0', ['index.html']));
    assert.match(lower.stderr, /DOWNGRADE_REFUSED/);
  }));

test('what is warned of is told once, though all is planned twice', () =>
  withTree(async (tree) => {
    await made(tree, site('1.0.0', ['index.html']));
    writeFileSync(join(tree, 'opt/tope/site/index.html'), 'edited');
    const { status, stderr } = await install(tree, site('2.0.0', ['index.html']));
    assert.is(status, 0);
    const warnings = stderr.split('\n').filter((line) => /edited/.test(line));
    assert.is(warnings.length, 1, stderr);
  }));

test('a build that was killed in the middle can be made again in the same tree', () =>
  withTree(async (tree, folder) => {
    const spec = site('1.0.0', ['index.html']);
    const large = { ...spec, files: { ...spec.files, 'site/large.bin': { random: 30_000_000 } } };
    const path = join(folder, 'large.zip');
    await buildPackage(large, path);
    const [program = '', ...first] = programArgv;
    const child = spawn(program, [...first, 'install', '--root', tree, path], { stdio: 'ignore' });
    await until('it is staging', () => existsSync(join(tree, 'opt/tope/updater/backups/journal')));
    child.kill('SIGKILL');
    await new Promise((done) => child.once('close', done));
    assert.ok(existsSync(join(tree, 'opt/tope/updater/backups/journal')));
    await made(tree, spec);
    assert.equal(readdirSync(join(tree, 'opt/tope/site')), ['index.html']);
  }));

test('any user makes an image; under fakeroot with the owners that it is to have', () =>
  withTree(async (tree, folder) => {
    if (process.geteuid?.() !== 0 || !existsSync('/usr/bin/fakeroot')) return;
    const nobody = 65534;
    chmodSync(folder, 0o755);
    chownSync(tree, nobody, nobody);
    const spec = site('1.0.0', ['index.html']);
    const owned = { ...spec, modules: spec.modules.map((each) => ({ ...each, owner: '1000:1001' })) };
    const path = join(folder, 'owned.zip');
    await buildPackage(owned, path);
    const [program = '', ...first] = programArgv;
    const script = '"$@" && find opt -printf "%U:%G %p\\n"';
    const argv = ['-c', script, 'sh', program, ...first, 'install', '--root', tree, path];
    const as = {
      uid: nobody,
      gid: nobody,
      cwd: tree,
      encoding: 'utf8',
      stdio: 'pipe',
    } as const;
    assert.throws(() => execFileSync('sh', argv, as), /only root or fakeroot can give it to 1000:1001/);
    assert.not.ok(existsSync(join(tree, 'opt/tope/site/index.html')));
    const told = execFileSync('fakeroot', ['sh', ...argv], as).split('\n');
    assert.ok(told.includes('1000:1001 opt/tope/site/index.html'));
    assert.ok(told.includes('0:0 opt/tope/updater/backups/history.jsonl'));
    const record = readdirSync(join(tree, 'opt/tope/updater/backups')).find((name) =>
      name.endsWith('.deployed'),
    );
    const text = readFileSync(join(tree, 'opt/tope/updater/backups', record ?? ''), 'utf8');
    assert.match(text, /index\.html.*"uid":1000,"gid":1001/);
  }));

test.run();
