/** A second file with the same content, where no second name can be had. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cloneFile } from '../../src/deploy/clone.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { device } from './rig.ts';

const test = suite('clone');

test('of a file that grows all the time, what there was at the beginning is copied', async () => {
  const d = device();
  try {
    const from = d.put('targets/growing', 'a'.repeat(200_000));
    const files: Files = {
      ...realFiles(),
      hardLink: async () => {
        throw Object.assign(new Error('EXDEV'), { code: 'EXDEV' });
      },
      open: async (path, how) => {
        const file = await realFiles().open(path, how);
        if (path !== from) return file;
        // Its owner is always faster.
        return {
          ...file,
          read: async (buffer, offset, length) => buffer.fill(98, offset, offset + length) && length,
        };
      },
    };
    const to = join(d.root, 'work/backups/copy');
    assert.is((await cloneFile(files, from, to)).how, 'copied');
    assert.is(readFileSync(to).length, 200_000);
  } finally {
    d.remove();
  }
});

test.run();
