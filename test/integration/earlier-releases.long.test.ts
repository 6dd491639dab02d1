/**
 * This version goes on from what an earlier release has left behind at each record of its journal (fixtures/releases, made by
 * leave-behind.ts): the update ends, and two rollbacks lead back to the first set.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HistoryEntry } from '../../src/history.ts';
import { startDaemon } from './daemon.ts';
import type { Leftover, ReleaseFixture } from './leave-behind.ts';

const test = suite('what earlier releases leave behind');
const fixtures = join(import.meta.dirname, '../fixtures/releases');

for (const name of readdirSync(fixtures)) {
  const { folder, states } = JSON.parse(readFileSync(join(fixtures, name), 'utf8')) as ReleaseFixture;
  for (const [state, files] of Object.entries(states))
    test(`${name.replace('.json', '')}, ${state}: the update ends, and can be taken back`, () =>
      inPlace(folder, files, async () => {
        const [work, root] = [join(folder, 'work'), join(folder, 'opt')];
        const daemon = await startDaemon([
          '--dir',
          work,
          '--allow-root',
          root,
          '--report-url',
          'http://127.0.0.1:9/',
        ]);
        try {
          const contents = () => ['a', 'b'].map((file) => readFileSync(join(root, file), 'utf8'));
          if (state === 'toInstall') {
            await daemon.reach('toInstall');
            assert.is((await daemon.post('update', { version: '1.2.0' })).code, 200);
          }
          await daemon.reach(state === 'success' ? 'idle' : 'success');
          assert.equal(contents(), ['a of 1.2.0', 'b of 1.2.0, longer']);
          const { data } = await daemon.get<{ updates: HistoryEntry[] }>('history');
          assert.equal(
            data.updates.map(({ version, outcome }) => `${version} ${outcome}`),
            ['1.2.0 success', '1.1.0 success'],
          );
          for (const set of [
            ['a of 1.1.0', 'b of 1.1.0, longer'],
            ['a of 1.0.0', 'b of 1.0.0'],
          ]) {
            assert.is((await daemon.post('rollback')).code, 200);
            await daemon.reach('success');
            assert.equal(contents(), set);
          }
          assert.equal(readdirSync(root).sort(), ['a', 'b']);
        } finally {
          await daemon.end('SIGKILL');
        }
      }));
}

test.run();

/** Where the paths in journal and package say; on a file system of its own where that can be had, as others may test, too. */
async function inPlace(folder: string, files: Leftover, use: () => Promise<void>): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const isOwn = spawnSync('mount', ['-t', 'tmpfs', 'none', folder]).status === 0;
  try {
    for (const [path, { mode, text }] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      // A package that waits expires after a day.
      const now = text.replace(/"verified_at": "[^"]*"/, `"verified_at": "${new Date().toISOString()}"`);
      writeFileSync(join(folder, path), Buffer.from(path.endsWith('state.json') ? now : text, 'latin1'));
      chmodSync(join(folder, path), mode);
    }
    await use();
  } finally {
    if (isOwn) spawnSync('umount', [folder]);
    rmSync(folder, { recursive: true, force: true });
  }
}
