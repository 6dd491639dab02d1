/** The built program on one real filesystem, and killed at some calls; real-disk.long.test.ts has the others. */
import { suite } from 'uvu';
import { filesystems } from './filesystems.ts';
import { isWholeAfterKills } from './killed.ts';
import { onFilesystem } from './on-filesystem.ts';

const test = suite('the built program under power cuts and kills, some');

for (const filesystem of filesystems.slice(0, 1)) await onFilesystem(test, filesystem, 3);
await isWholeAfterKills(test, ['success'], 2);

test.run();
