import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDevice } from './harness.ts';
import { deliver, made, site, withTree } from './image-tree.ts';
import { installed, rolledBack } from './updates.ts';

const test = suite('install --root');

test('the first update in the field knows what the image brought, and can be taken back', () =>
  withTree((tree) =>
    withDevice(async (device) => {
      for (const name of ['alpha', 'beta'] as const) await device.stop(name);
      const names = ['index.html', 'old.html', 'app.js'];
      const first = site('1.0.0', names, device.root);
      await made(tree, first, '--dir', device.work, '--allow-root', device.root);
      deliver(device, tree);
      writeFileSync(join(device.root, 'site/upload.txt'), 'of a user');
      const before = device.files();

      const daemon = await device.start();
      await installed(device, daemon, site('2.0.0', ['index.html', 'app.js'], device.root));
      assert.equal(readdirSync(join(device.root, 'site')).sort(), ['app.js', 'index.html', 'upload.txt']);
      await rolledBack(daemon);
      assert.equal(device.files(), before);
      const { updates } = (
        await daemon.get<{ updates: { version: string; started_at: string }[] }>('history')
      ).data;
      assert.equal(
        updates.map(({ version }) => version),
        ['1.0.0', '2.0.0', '1.0.0'],
      );
      assert.is(updates.at(-1)?.started_at, '2026-01-01T00:00:00.000Z');
    }),
  ));

test('links lead where they lead on the device, never out of the tree', () =>
  withTree(async (tree, folder) => {
    for (const path of [join(folder, 'apps'), join(tree, folder, 'apps'), join(tree, 'real')])
      mkdirSync(path, { recursive: true });
    symlinkSync('/real', join(tree, 'opt'));
    symlinkSync(`../../../../../../../../..${folder}/apps`, join(tree, 'real/tope'));
    await made(tree, site('1.0.0', ['index.html']));
    assert.equal(readdirSync(join(folder, 'apps')), []);
    assert.equal(readdirSync(join(tree, folder, 'apps')).sort(), ['site', 'updater']);
    assert.is(readFileSync(join(tree, folder, 'apps/site/index.html'), 'utf8'), 'index.html of 1.0.0');
  }));

test.run();
