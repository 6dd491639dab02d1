/**
 * One download from a real nginx over a link that loses packets, and that is dead for a while, in a network namespace of
 * its own. Needs root, `unshare`, `ip`, `nft` and nginx.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { programPath, realServers } from './real-servers.ts';
import { skipped, someBytes, temporaryDirectory } from './rig.ts';

const sizeBytes = 8_000_000;
const port = 8099;

const missing = whatIsMissing();
if (missing !== undefined) skipped('packet loss', missing);
(missing === undefined ? test : test.skip)('a lossy link that dies for two seconds', async () => {
  const work = temporaryDirectory();
  try {
    const bytes = someBytes(sizeBytes);
    const [root, own] = [join(work.path, 'www'), join(work.path, 'own')];
    for (const path of [work.path, root, own]) {
      mkdirSync(path, { recursive: true });
      chmodSync(path, 0o755);
    }
    writeFileSync(join(root, 'package.zip'), bytes, { mode: 0o644 });
    const nginx = realServers.find((server) => server.name === 'nginx');
    const program = programPath('nginx') ?? '';
    const serve = [program, ...(nginx?.prepare({ root, own, port }, program) ?? [])].join(' ');
    const md5 = createHash('md5').update(bytes).digest('hex');
    const url = `http://127.0.0.1:${port}/package.zip`;
    const client = `node --import tsx test/fixtures/download-once.ts ${url} ${work.path} ${sizeBytes} ${md5} 700 2000000`;
    const output = await inNamespace(script(serve, client, join(work.path, 'package.zip.part')));
    const result = JSON.parse(output.trim().split('\n').at(-1) ?? '');
    assert.is(result.error, null);
    assert.ok(result.warnings > 0, 'the dead link was noticed');
    assert.ok(readFileSync(join(work.path, 'package.zip')).equals(bytes));
    console.log(`measured: ${result.warnings} warnings over the lossy link`);
  } finally {
    work.remove();
  }
});

test.run();

/** 5 % of all packets are dropped; for two seconds in the midst of the download all of them. */
function script(serve: string, client: string, part: string): string {
  return `
    set -e
    PATH="$PATH:/usr/sbin:/sbin"
    ip link set lo up
    nft add table inet lossy
    nft 'add chain inet lossy lost { type filter hook input priority 0; }'
    nft add rule inet lossy lost numgen random mod 100 '<' 5 drop
    ${serve} & server=$!
    trap 'kill $server' EXIT
    (while ! [ -s ${part} ]; do sleep 0.05; done; sleep 0.5; nft insert rule inet lossy lost drop; sleep 2; nft flush chain inet lossy lost
     nft add rule inet lossy lost numgen random mod 100 '<' 5 drop) &
    ${client}
  `;
}

function inNamespace(commands: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', ['-n', 'sh', '-c', commands], { stdio: ['ignore', 'pipe', 'pipe'] });
    const late = setTimeout(() => child.kill('SIGKILL'), 60_000);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.on('close', (status) => {
      clearTimeout(late);
      if (status === 0) resolve(output);
      else reject(new Error(`the namespace ended with ${status}: ${errors.slice(-1000)}`));
    });
  });
}

function whatIsMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  const absent = ['unshare', 'ip', 'nft', 'nginx'].find((name) => programPath(name) === undefined);
  return absent === undefined ? undefined : `no ${absent} program`;
}
