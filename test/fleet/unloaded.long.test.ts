/** What belongs to a fleet costs a device without one nothing: of src/fleet not one module is loaded, as V8 itself tells. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('a device without a fleet');
const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'unloaded-'));
test.after(() => rmSync(folder, { recursive: true }));

/** The files of src that a daemon has loaded from its start to its end, which comes once it listens. */
async function loadedBy(name: string, flags: readonly string[]): Promise<string[]> {
  const [work, coverage] = [join(folder, name), join(folder, `${name}-coverage`)];
  mkdirSync(work);
  const main = join(root, 'src/main.ts');
  const daemon = spawn(
    process.execPath,
    ['--import', 'tsx', main, 'run', '--port', '0', '--dir', work, ...flags],
    {
      cwd: root,
      env: { PATH: process.env.PATH, NODE_V8_COVERAGE: coverage },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const status = await new Promise<number | null>((resolve) => {
    let printed = '';
    daemon.stdout.on('data', (text: Buffer) => {
      printed += text.toString();
      if (printed.includes('listening on')) daemon.kill('SIGTERM');
    });
    daemon.once('exit', resolve);
  });
  assert.is(status, 0);
  const files = new Set<string>();
  for (const report of readdirSync(coverage)) {
    const { result } = JSON.parse(readFileSync(join(coverage, report), 'utf8')) as {
      result: readonly { readonly url: string }[];
    };
    for (const { url } of result) {
      const path = /\/(src\/[^?]*)/.exec(url.startsWith(`file://${root}/`) ? url : '')?.[1];
      if (path !== undefined) files.add(path);
    }
  }
  return [...files].sort();
}

test('loads nothing of src/fleet; one with a fleet does', async () => {
  const without = await loadedBy('without', []);
  assert.ok(without.includes('src/cli/run.ts'), without.join('\n'));
  assert.equal(
    without.filter((path) => path.startsWith('src/fleet/')),
    [],
  );
  const token = join(folder, 'token');
  writeFileSync(token, 'TOKEN\n');
  chmodSync(token, 0o600);
  const fleet = ['--fleet-url', 'http://127.0.0.1:1', '--fleet-id', 'dev-1', '--fleet-token-file', token];
  const member = await loadedBy('member', fleet);
  assert.ok(member.includes('src/fleet/client.ts'), member.join('\n'));
});

test.run();
