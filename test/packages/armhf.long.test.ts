/** The package for armhf on Debian 12 and 13, under qemu: see updated.ts. */
import { packageTests } from './updated.ts';

const test = packageTests('armhf');

test.run();
