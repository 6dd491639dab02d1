/**
 * What the bundle passes in full, the packed executable of this machine passes in its main parts; `make test-dist` gives it
 * the whole integration suite.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('the integration suite with the packed executable');
const executable = resolve(`dist/tope-updater-${process.arch}`);
const isThere = existsSync(executable);
if (!isThere) console.log(`skipped: the packed executable: ${executable} is not there (make dist)`);

const parts = [
  'start.test.ts',
  'deploy.test.ts',
  'healing.test.ts',
  'services.test.ts',
  'rollback.test.ts',
  'neighbour.test.ts',
  'shutdown.test.ts',
  'large-package.long.test.ts',
];
for (const part of parts)
  (isThere ? test : test.skip)(part, () => {
    const argv = ['--import', 'tsx', 'test/run.ts', `test/integration/${part}`];
    const { NODE_V8_COVERAGE: _, ...environment } = process.env;
    const env = { ...environment, TOPE_UPDATER_BIN: executable };
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', env });
    assert.is(status, 0, `${stdout}${stderr}`);
    for (const line of stdout.split('\n').filter((text) => /\b(measured|skipped):|^ok /.test(text)))
      console.log(`\nmeasured: ${line.trim()}`);
  });

test.run();
