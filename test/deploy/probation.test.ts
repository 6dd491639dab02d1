/** The executable and its probation on a real disk: what stands there when, and what the launcher reads of it. */
import { existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ownExecutable } from '../../src/deploy/probation.ts';
import { type Device, device } from './rig.ts';

const test = suite<{ d: Device; path: string }>('probation');
test.before.each((context) => {
  context.d = device();
  context.d.put('updater/tope-updater', 'version 1');
  context.path = join(context.d.root, 'updater/tope-updater');
});
test.after.each(({ d }) => d.remove());

const own = (d: Device, path: string, isFallback = false) =>
  ownExecutable(d.host.files, {
    path,
    arch: 'x64',
    refusal: undefined,
    isFallback,
    serving: () => Promise.resolve(),
    end: () => undefined,
  });
const lines = (path: string) => readFileSync(join(path, '../probation'), 'utf8');
/** As the switch does it: another file under the same name. */
const replace = (path: string, content: string) => {
  rmSync(path);
  writeFileSync(path, content);
};

test('begins with another name of what runs, and with a line that names the update', async ({ d, path }) => {
  const executable = await own(d, path);
  assert.is(await executable.probation(), undefined);
  await executable.beginProbation('7');
  assert.is(statSync(`${path}.previous`).ino, statSync(path).ino);
  assert.is(lines(path), 'update 7\n');
  assert.equal(await executable.probation(), { update: '7' });
  replace(path, 'version 2');
  assert.not.ok(await executable.isCurrent());
  assert.is(readFileSync(`${path}.previous`, 'utf8'), 'version 1');
});

test('a line is added while there is one, and never makes one', async ({ d, path }) => {
  const executable = await own(d, path);
  await executable.note('ended');
  assert.not.ok(existsSync(join(path, '../probation')));
  await executable.beginProbation('7');
  await executable.note('committed');
  await executable.note('ended');
  assert.is(lines(path), 'update 7\ncommitted\nended\n');
});

test('one that an installer began names no update', async ({ d, path }) => {
  d.put('updater/probation', '');
  assert.equal(await (await own(d, path)).probation(), { update: undefined });
});

test('its end takes both files away, and a fallback is none any more', async ({ d, path }) => {
  await (await own(d, path)).beginProbation('7');
  replace(path, 'version 2');
  const fallback = await own(d, path, true);
  assert.equal([fallback.isFallback(), await fallback.isCurrent()], [true, false]);
  assert.ok(await fallback.isTrying());
  assert.ok(await fallback.restorePrevious());
  assert.not.ok(await fallback.isTrying());
  assert.is(readFileSync(path, 'utf8'), 'version 1');
  assert.ok(await fallback.isCurrent());
  assert.not.ok(await fallback.restorePrevious(), 'it stands there already');
  await fallback.endProbation();
  assert.not.ok(existsSync(`${path}.previous`) || existsSync(join(path, '../probation')));
  assert.not.ok(fallback.isFallback());
});

test('a fallback that lets another one try stays what comes back', async ({ d, path }) => {
  await (await own(d, path)).beginProbation('7');
  replace(path, 'version 2');
  const fallback = await own(d, path, true);
  await fallback.beginProbation('8');
  assert.is(readFileSync(`${path}.previous`, 'utf8'), 'version 1');
  assert.is(lines(path), 'update 8\n');
  assert.not.ok(fallback.isFallback());
});

test('without a probation what is left goes, but never what an installer has just linked', async ({
  d,
  path,
}) => {
  const executable = await own(d, path);
  linkSync(path, `${path}.previous`);
  await executable.removeLeftover();
  assert.ok(existsSync(`${path}.previous`));
  replace(path, 'version 2');
  await executable.removeLeftover();
  assert.ok(existsSync(`${path}.previous`), 'of the one that runs still');
  await (await own(d, path)).removeLeftover();
  assert.not.ok(existsSync(`${path}.previous`));
});

test('where the executable is gone, what runs is the one before', async ({ d, path }) => {
  await (await own(d, path)).beginProbation('7');
  rmSync(path);
  const executable = await own(d, path);
  assert.not.ok(await executable.isCurrent());
  await executable.restorePrevious();
  assert.ok(await executable.isCurrent());
});

test.run();
