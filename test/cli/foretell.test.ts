/** `verify --against`: what a device with an older version would download, told beforehand and true. */
import { createHash } from 'node:crypto';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { foretell } from '../../src/cli/foretell.ts';
import { downloadBody } from '../../src/pack/pack.ts';
import { deploy } from '../download/adaptive-store.ts';
import { startFaultServer } from '../network/fault-server.ts';
import { obtain, requestFor, testHost } from '../network/rig.ts';
import { withSource } from '../pack/source-folder.ts';

const test = suite('verify --against');
const rules = { allowedRoots: ['/opt/tope'], workDirectory: '/opt/tope/updater' };

function bytesOf(name: string): Buffer {
  return createHash('shake256', { outputLength: 150_000 }).update(name).digest();
}

const manifest = (version: string) =>
  JSON.stringify({ version, modules: [{ name: 'web', src: 'web', dst: '/opt/tope/web' }] });

for (const compress of [true, false])
  test(`it is what the daemon does, ${compress ? 'deflated' : 'stored'}, from the package or its folder`, () =>
    withSource(manifest('1.0.0'), async (source) => {
      const at = (name: string) => join(source.folder, name);
      const files: Record<string, { content: Buffer }> = {};
      for (const name of ['a', 'b', 'c']) {
        files[`web/${name}`] = { content: bytesOf(name) };
        source.write(`web/${name}`, bytesOf(name));
      }
      await source.pack({ outputPath: at('1.zip') });
      cpSync(source.source, at('older'), { recursive: true });
      source.write('manifest.json', manifest('2.0.0'));
      source.write('web/b', bytesOf('another'));
      const grown = Buffer.concat([
        bytesOf('c').subarray(0, 70_000),
        Buffer.from('!'),
        bytesOf('c').subarray(70_000),
      ]);
      source.write('web/c', grown);
      const packed = await source.pack({ outputPath: at('2.zip'), compress, deltaFrom: [at('1.zip')] });
      const asked = downloadBody({ version: '2.0.0', ...packed }, 'p.zip', 'https://packages.example/p.zip');

      const told = await foretell(at('2.zip'), asked, at('1.zip'), rules);
      assert.is(told.version, '1.0.0');
      assert.equal(await foretell(at('2.zip'), asked, at('older'), rules), told);

      const bytes = readFileSync(at('2.zip'));
      const server = await startFaultServer({ versions: [bytes] });
      const real = { bytes_fetched: 0, bytes_reused: 0, requests: 0 };
      try {
        const { error } = await obtain(testHost(), source.folder, requestFor(server.url, bytes), {
          bytesPerSecond: 1_000,
          candidates: deploy(at('device'), files),
          onReceived: (count) => {
            real.bytes_fetched += count;
          },
          onReused: (count) => {
            real.bytes_reused += count;
          },
          onRequest: () => {
            real.requests += 1;
          },
        });
        assert.is(error, undefined);
      } finally {
        await server.close();
      }
      assert.equal(told.traffic, real);
      assert.is(real.bytes_fetched + real.bytes_reused, bytes.length);
      assert.ok(real.bytes_fetched < 0.7 * bytes.length, JSON.stringify(real));
    }));

test('what is no package is refused', async () => {
  await withSource(manifest('1.0.0'), async (source) => {
    source.write('web/a', 'a');
    source.write('none.zip', 'no zip');
    const packed = await source.pack();
    const asked = downloadBody({ version: '1.0.0', ...packed }, 'p.zip', 'https://packages.example/p.zip');
    const none = join(source.source, 'none.zip');
    await foretell(join(source.folder, 'package.zip'), asked, none, rules).then(
      () => assert.unreachable(),
      (thrown: Error) => assert.match(thrown.message, /^INVALID_PACKAGE: /),
    );
  });
});

test.run();
