/** What the updater takes for its own: the program, what its configuration names, and where its units are. */
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ownPaths } from '../../src/cli/own-files.ts';
import { resolveConfig } from '../../src/config.ts';

const test = suite('own files');

test('the program, its configuration and every file that this names, its units with their drop-ins', async () => {
  const flags = {
    'token-file': 'token',
    'ca-file': '/etc/ca.pem',
    'cert-file': '/etc/cert.pem',
    'key-file': '/etc/key.pem',
    'trust-key': ['/etc/a.pub', '/etc/b.pub'],
  };
  const own = await ownPaths(resolveConfig(flags, undefined), 'updater.json');
  for (const path of [
    process.execPath,
    resolve(process.argv[1] ?? ''),
    ...['updater.json', 'token'].map((name) => join(process.cwd(), name)),
    ...['ca.pem', 'cert.pem', 'key.pem', 'a.pub', 'b.pub'].map((name) => `/etc/${name}`),
    '/etc/systemd/system/tope-updater.service',
    '/etc/systemd/system/tope-updater.service.d',
    '/lib/systemd/system/tope-updater-recover.service',
    '/etc/init.d/tope-updater',
    '/etc/default/tope-updater',
  ])
    assert.ok(own.includes(path), path);
  assert.ok(own.every((path) => path.startsWith('/')));
  assert.ok((await ownPaths(resolveConfig({}, undefined), undefined)).length > 0);
});

test.run();
