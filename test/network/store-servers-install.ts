/** `make store-servers`: installs the servers of store-servers.ts, once; what cannot be had is said, and its tests are skipped. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { storeServersFolder as folder, goProgram, npmPackages, pythonPackages } from './store-servers.ts';

mkdirSync(folder, { recursive: true });
if (!existsSync(join(folder, 'node_modules/s3rver')))
  run('npm', [
    ...['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'],
    ...npmPackages,
  ]);
if (
  !existsSync(join(folder, 'python/bin/moto_server')) &&
  run('python3', ['-m', 'venv', join(folder, 'python')])
)
  run(join(folder, 'python/bin/pip'), [
    'install',
    '--quiet',
    '--disable-pip-version-check',
    ...pythonPackages,
  ]);
if (!existsSync(join(folder, 'go-static'))) {
  writeFileSync(join(folder, 'static.go'), goProgram);
  run('go', ['build', '-o', join(folder, 'go-static'), join(folder, 'static.go')]);
}

/** True where it ended well. */
function run(program: string, args: readonly string[]): boolean {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', cwd: folder });
  if (status === 0) return true;
  console.log(`skipped: ${program}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
  return false;
}
