/** The package for arm64 on Debian 12 and 13, under qemu: see updated.ts. */
import { packageTests } from './updated.ts';

const test = packageTests('arm64');

test.run();
