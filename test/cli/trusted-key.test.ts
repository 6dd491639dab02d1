/** `--trust-key` and `--sign` given the wrong half of a key pair: what is said, and that a secret is never part of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readTrustedKey } from '../../src/cli/trusted-key.ts';
import { resolveConfig } from '../../src/config.ts';
import { openSecretKey } from '../../src/pack/secret-key.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { cheapKeyFile } from '../fixtures/secret-key-file.ts';

const test = suite('keys given by mistake');
const folder = mkdtempSync(join(tmpdir(), 'trusted-key-'));

async function said(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (thrown) {
    if (thrown instanceof Error) return thrown.message;
  }
  throw new Error('nothing was refused');
}

function assertUntold(message: string, secret: string): void {
  for (let at = 0; at + 12 <= secret.length; at++)
    assert.not.ok(message.includes(secret.slice(at, at + 12)), message);
}

test('the secret key as a file, as its line and as its whole text is named, and nothing of it is told', async () => {
  const text = cheapKeyFile();
  const line = text.split('\n')[1] ?? '';
  const file = join(folder, 'k.key');
  writeFileSync(file, text);
  for (const given of [file, line, text, `${text}${text}`]) {
    const message = await said(() => readTrustedKey(given));
    assert.match(message, /^--trust-key .*: it is a minisign SECRET key: give the public one \(\.pub\)/);
    assertUntold(message, line);
  }
  assert.ok((await said(() => readTrustedKey(file))).includes(file));
});

test('what is no key at all is named by its file, and its content is not told', async () => {
  const file = join(folder, 'other');
  writeFileSync(file, 'password=correct-horse-battery');
  assert.is(await said(() => readTrustedKey(file)), `--trust-key ${file}: it is not a minisign public key`);
  assert.is(
    await said(() => readTrustedKey('/none/a.pub')),
    '--trust-key /none/a.pub: it is not a minisign public key (there is no file of that name)',
  );
});

test('a configuration with a key where a list belongs is refused without the key', async () => {
  const [, line = ''] = cheapKeyFile().split('\n');
  const message = await said(() => resolveConfig({}, JSON.stringify({ trusted_keys: line })));
  assert.is(message, 'config file: trusted_keys: must be a list of keys');
});

test('--sign with the public key says which half it is', async () => {
  const message = await said(() => openSecretKey(newSigner().publicKey, async () => ''));
  assert.match(message, /it is not a minisign secret key but the public one/);
});

test.after(() => rmSync(folder, { recursive: true }));

test.run();
