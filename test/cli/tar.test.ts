/** The tar writer, read back by the system's tar. */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type TarFile, tarOf } from '../../src/cli/tar.ts';

const test = suite('tar');
const modifiedMs = Date.UTC(2025, 10, 27, 10, 0, 0);

test('every length of content comes back as it was, with name, mode and time', async () => {
  const files = [0, 1, 511, 512, 513, 1024, 100_000].map((length) => ({
    name: `bundle/${length}.bin`,
    content: new Uint8Array(length).map((_, index) => index % 251),
    modifiedMs,
  }));
  const archive = await bytesOf(files);
  assert.is(archive.length % 512, 0);
  assert.equal(
    tar('-tvf', archive).trim().split('\n'),
    files.map(({ name, content }) => `-rw------- 0/0 ${content.length} 2025-11-27 10:00 ${name}`),
  );
  for (const { name, content } of files) assert.equal(tarBytes(archive, name), Buffer.from(content));
});

test('a name of 100 characters fits, a longer one or one of other letters is refused', async () => {
  const file = (name: string): TarFile => ({ name, content: new Uint8Array(3), modifiedMs });
  const longest = 'n'.repeat(100);
  assert.ok(tar('-tf', await bytesOf([file(longest)])).includes(longest));
  for (const name of ['', 'n'.repeat(101), 'näme']) {
    let refusal = '';
    await bytesOf([file(name)]).catch((thrown: unknown) => {
      refusal = String(thrown);
    });
    assert.match(refusal, /cannot hold/);
  }
});

async function bytesOf(files: Iterable<TarFile>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tarOf(files)) pieces.push(piece);
  return Buffer.concat(pieces);
}

function tar(flags: string, archive: Uint8Array): string {
  const { stdout, stderr, status } = spawnSync('tar', ['--numeric-owner', flags, '-'], {
    input: archive,
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
  return stdout.replace(/ +/g, ' ');
}

function tarBytes(archive: Uint8Array, name: string): Buffer {
  return spawnSync('tar', ['-xOf', '-', name], { input: archive }).stdout;
}

test.run();
