/** Devices as leave-behind.ts has found them: put in place again, brought to the end of their update, and back. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { HistoryEntry } from '../../src/history.ts';
import type { Daemon } from './daemon.ts';
import type { Leftover } from './leave-behind.ts';

/** Where the paths in journal and package say; on a file system of its own where that can be had, as others may test, too. */
export async function inPlace(folder: string, files: Leftover, use: () => Promise<void>): Promise<void> {
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

export function flagsOf(folder: string): string[] {
  const places = ['--dir', join(folder, 'work'), '--allow-root', join(folder, 'opt')];
  return [...places, '--report-url', 'http://127.0.0.1:9/'];
}

/** The update to 1.2.0 ends well, from the moment that `state` names. */
export async function endsWell(daemon: Daemon, folder: string, state: string): Promise<void> {
  if (state === 'toInstall') {
    await daemon.reach('toInstall');
    assert.is((await daemon.post('update', { version: '1.2.0' })).code, 200);
  }
  await daemon.reach(state === 'success' ? 'idle' : 'success');
  assert.equal(contents(folder), ['a of 1.2.0', 'b of 1.2.0, longer']);
  const { data } = await daemon.get<{ updates: HistoryEntry[] }>('history');
  assert.equal(
    data.updates.map(({ version, outcome }) => `${version} ${outcome}`),
    ['1.2.0 success', '1.1.0 success'],
  );
}

/** Two rollbacks lead to the first set. */
export async function goesBack(daemon: Daemon, folder: string): Promise<void> {
  for (const set of [
    ['a of 1.1.0', 'b of 1.1.0, longer'],
    ['a of 1.0.0', 'b of 1.0.0'],
  ]) {
    assert.is((await daemon.post('rollback')).code, 200);
    await daemon.reach('success');
    assert.equal(contents(folder), set);
  }
  assert.equal(readdirSync(join(folder, 'opt')).sort(), ['a', 'b']);
}

function contents(folder: string): string[] {
  return ['a', 'b'].map((file) => readFileSync(join(folder, 'opt', file), 'utf8'));
}
