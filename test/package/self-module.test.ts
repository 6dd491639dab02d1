/** A module that is the updater itself: which file of the package it is on a device, and what refuses it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UpdateError } from '../../src/errors.ts';
import { featuresUsed } from '../../src/package/features.ts';
import { parseManifest } from '../../src/package/manifest.ts';
import type { PackageEntry } from '../../src/package/module-parts.ts';
import { resolveRelease } from '../../src/package/release.ts';
import { anySelf, type SelfRule } from '../../src/package/self-module.ts';
import type { Release } from '../../src/release.ts';

const test = suite('the updater as a module');

const arm: SelfRule = { path: '/opt/tope/updater/tope-updater', arch: 'arm64' };
const self = { name: 'updater', src: 'updater', self: true };
const app = { name: 'app', src: 'app', dst: '/opt/tope/app' };
const file = (name: string): PackageEntry => ({ name, isDirectory: false, sizeBytes: 5, mode: 0o644 });
const all = ['updater/tope-updater-arm64', 'updater/tope-updater-x64', 'app'].map(file);

function resolve(modules: readonly object[], rule: SelfRule | undefined, entries = all): Promise<Release> {
  const text = Buffer.from(JSON.stringify({ version: '1.2.3', modules }));
  const rules = {
    expectedVersion: '1.2.3',
    allowedRoots: ['/opt/tope'],
    workDirectory: '/opt/tope/updater',
    self: rule,
  };
  const { files: _none, ...manifest } = parseManifest(text).manifest;
  return resolveRelease(manifest, entries, rules);
}

async function refusal(
  modules: readonly object[],
  rule: SelfRule | undefined,
  entries = all,
): Promise<string> {
  try {
    await resolve(modules, rule, entries);
  } catch (thrown) {
    if (thrown instanceof UpdateError) return thrown.message;
    throw thrown;
  }
  return 'accepted';
}

test('of a directory the device takes the executable of its own architecture, to its own place, mode 0755', async () => {
  const [module] = (await resolve([self, app], arm)).modules;
  assert.equal([module?.isSelf, module?.isTree, module?.target], [true, false, arm.path]);
  const [only] = module?.files ?? [];
  assert.equal([only?.entry, only?.mode, only?.modeIsForced], ['updater/tope-updater-arm64', 0o755, true]);
});

test('a file is taken as it is, whatever it is called', async () => {
  const [module] = (await resolve([{ ...self, src: 'app' }], arm)).modules;
  assert.equal(
    [...(module?.files ?? [])].map(({ entry, target }) => [entry, target]),
    [['app', arm.path]],
  );
});

test('a package without one for the device is not for it', async () => {
  const rule = { ...arm, arch: 'armv7' };
  assert.match(
    await refusal([self], rule),
    /^INCOMPATIBLE: modules\[0\].src: .*tope-updater-armv7.* for armv7$/,
  );
});

test('a device that may not replace its updater says why', async () => {
  assert.match(
    await refusal([app, self], { refusal: 'because' }),
    /^INCOMPATIBLE: modules\[1\].self: because$/,
  );
  assert.match(await refusal([self], undefined), /^INCOMPATIBLE: modules\[0\].self: /);
});

test('who only looks at a package sees every executable in it', async () => {
  const [module] = (await resolve([self, app], anySelf)).modules;
  assert.is(module?.files.length, 2);
});

test('what only a service needs is refused, a second updater, and a module without a place', async () => {
  for (const more of [
    { dst: '/opt/x' },
    { process_name: 'a' },
    { mode: '0644' },
    { before_start: [['/bin/x']] },
  ])
    assert.match(
      await refusal([{ ...self, ...more }], arm),
      /^INVALID_MANIFEST: .*modules\[0\]\.\w+: is not for the updater/,
    );
  assert.match(
    await refusal([self, { ...self, name: 'two' }], arm),
    /modules\[1\].self: modules\[0\] is the updater/,
  );
  assert.match(await refusal([{ name: 'app', src: 'app' }], arm), /modules\[0\].dst: is missing/);
  assert.match(
    await refusal([{ ...app, self: false, dst: arm.path }], arm),
    /inside the updater's work directory/,
  );
});

test('an updater that does not know the feature is told to refuse it', async () => {
  assert.equal(featuresUsed({ modules: [app, self] }), ['self']);
});

test.run();
