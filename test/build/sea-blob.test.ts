import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seaBlob } from '../../build/sea-blob.ts';

const script = Buffer.from('console.log(1)\n');
const flags = ['--lite-mode', '--expose-gc'];

/** Blobs of that script as Node itself wrote them, with disableExperimentalSEAWarning, on x86_64. */
const writtenByNode = [
  { nodeVersion: '20.11.0', execArgv: [], hex: '20da43010100000004000000000000006d2e6a730f00000000000000' },
  { nodeVersion: '22.23.3', execArgv: [], hex: '20da4301010000000104000000000000006d2e6a730f00000000000000' },
  {
    nodeVersion: '22.23.3',
    execArgv: flags,
    hex: '20da4301110000000104000000000000006d2e6a730f00000000000000',
  },
  {
    nodeVersion: '26.10.0',
    execArgv: [],
    hex: '20da430101000000010004000000000000006d2e6a730f00000000000000',
  },
  {
    nodeVersion: '26.10.0',
    execArgv: flags,
    hex: '20da430111000000010004000000000000006d2e6a730f00000000000000',
  },
] as const;
const flagsHex = `0200000000000000${'0b00000000000000'}${hexOf('--lite-mode')}${'0b00000000000000'}${hexOf('--expose-gc')}`;

function hexOf(text: string): string {
  return Buffer.from(text).toString('hex');
}

for (const { nodeVersion, execArgv, hex } of writtenByNode) {
  test(`the blob equals that of Node ${nodeVersion} ${execArgv.join(' ')}`, () => {
    const blob = seaBlob({ nodeVersion, lengthBytes: 8, scriptPath: 'm.js', script, execArgv });
    const expected = hex + script.toString('hex') + (execArgv.length > 0 ? flagsHex : '');
    assert.is(Buffer.from(blob).toString('hex'), expected);
  });
}

const version = process.versions.node;
const isKnown = /^(20|26)\./.test(version);
if (!isKnown) console.log(`skipped: comparing with a blob of Node ${version}: neither 20 nor 26`);
(isKnown ? test : test.skip)('the blob equals that of the Node at hand, of a large script', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sea-blob-'));
  try {
    const main = 'const text = "grüße";\n'.repeat(20_000);
    writeFileSync(join(folder, 'main.cjs'), main);
    const config = { main: 'main.cjs', output: 'node.blob', disableExperimentalSEAWarning: true };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    execFileSync(process.execPath, ['--experimental-sea-config', 'config.json'], {
      cwd: folder,
      stdio: 'ignore',
      timeout: 30_000,
    });
    const ours = seaBlob({
      nodeVersion: version,
      lengthBytes: 8,
      scriptPath: 'main.cjs',
      script: Buffer.from(main),
      execArgv: [],
    });
    assert.ok(Buffer.from(ours).equals(readFileSync(join(folder, 'node.blob'))));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a 32-bit target gets lengths of four bytes', () => {
  const blob = seaBlob({ nodeVersion: '20.11.0', lengthBytes: 4, scriptPath: 'm.js', script, execArgv: [] });
  assert.is(
    Buffer.from(blob).toString('hex'),
    `20da430101000000040000006d2e6a730f000000${script.toString('hex')}`,
  );
});

test('a layout that is not known is refused, and flags that Node 20 would drop', () => {
  const content = { lengthBytes: 4, scriptPath: 'm.js', script, execArgv: [] } as const;
  assert.throws(
    () => seaBlob({ ...content, nodeVersion: '22.12.0' }),
    /layout of Node 22\.12\.0 is not known/,
  );
  assert.throws(
    () => seaBlob({ ...content, nodeVersion: '20.11.0', execArgv: flags }),
    /Node 20\.11\.0 cannot carry flags/,
  );
});

test.run();
