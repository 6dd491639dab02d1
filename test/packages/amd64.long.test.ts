/** The package for amd64 on Debian 12 and 13: see updated.ts. */
import { packageTests } from './updated.ts';

const test = packageTests('amd64');

test.run();
