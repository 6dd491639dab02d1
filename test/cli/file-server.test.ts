/** Serving a local file to the daemon: whole, from an offset, and to nobody who does not know its path. */
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type FileServer, serveFile } from '../../src/cli/file-server.ts';
import { realFiles } from '../../src/host/files.ts';

const test = suite('file server');
const folder = mkdtempSync(join(tmpdir(), 'file-server-'));
const content = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251));
test.after(() => rmSync(folder, { recursive: true, force: true }));

async function served(use: (server: FileServer) => Promise<void>): Promise<void> {
  const path = join(folder, 'package.zip');
  writeFileSync(path, content);
  const server = await serveFile(realFiles(), path, 'package.zip', 'digest');
  // What was opened is served, whatever becomes of its name.
  unlinkSync(path);
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

async function ask(server: FileServer, headers: Record<string, string> = {}, method = 'GET') {
  const response = await fetch(server.url, { headers: { connection: 'close', ...headers }, method });
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, range: response.headers.get('content-range'), body };
}

const whole = { status: 200, range: null };
const rest = { status: 206, range: 'bytes 699990-699999/700000' };
const questions: readonly (readonly [string, Record<string, string>, typeof whole | typeof rest, number])[] =
  [
    ['the whole', {}, whole, 0],
    ['the rest', { range: 'bytes=699990-' }, rest, 699_990],
    ['the rest of the same', { range: 'bytes=699990-', 'if-range': '"digest"' }, rest, 699_990],
    ['the rest of another', { range: 'bytes=699990-', 'if-range': '"other"' }, whole, 0],
    ['a form of range that the daemon does not use', { range: 'bytes=0-5,7-9' }, whole, 0],
  ];
for (const [what, headers, expected, start] of questions)
  test(`asked for ${what}`, async () => {
    await served(async (server) => {
      const { body, ...head } = await ask(server, headers);
      assert.equal(head, expected);
      assert.ok(body.equals(content.subarray(start)));
    });
  });

test('nothing lies behind the end, under another path, or for another method', async () => {
  await served(async (server) => {
    const behind = await ask(server, { range: 'bytes=700000-' });
    assert.equal([behind.status, behind.range], [416, 'bytes */700000']);
    assert.is((await ask({ ...server, url: new URL('/package.zip', server.url).href })).status, 404);
    assert.is((await ask(server, {}, 'POST')).status, 405);
  });
});

test('only this machine is served, under a path that cannot be guessed', async () => {
  await served(async (server) => {
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/package\.zip$/);
  });
});

test('closing ends a transfer that runs', async () => {
  await served(async (server) => {
    const response = await fetch(server.url);
    await server.close();
    server.close = async () => undefined;
    await response.arrayBuffer().then(
      (bytes) => assert.ok(bytes.byteLength <= content.length),
      (thrown: Error) => assert.instance(thrown, TypeError),
    );
  });
});

test.run();
