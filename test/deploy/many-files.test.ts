/** Trees of many small files: how often the disk is asked, and that a write that fails among many is heard. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { switchTargets } from '../../src/deploy/switch.ts';
import type { Files } from '../../src/host/host.ts';
import { createEach } from '../../src/host/new-files.ts';
import { faultyFiles } from '../powercut/faulty-files.ts';
import { moduleOf, planFor, prepare, refusal } from './parts.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('many files', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const count = 120;

/** All below four directories; the content is the name. */
function manyFiles(): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`part-${index % 4}/file-${index}`, `file-${index}`]),
  );
}

test('a survey asks once for each file, and not for its directories each time', async ({ d }) => {
  const { files, calls } = faultyFiles(d.host.files);
  await planFor({ ...d, host: { ...d.host, files } }, [moduleOf(d, 'app', manyFiles())]);
  assert.ok(calls.length < 2 * count, `${calls.length} calls for ${count} files`);
});

test('a file takes five calls until it stands beside its target', async ({ d }) => {
  const plan = await planFor(d, [moduleOf(d, 'app', manyFiles())]);
  const { files, calls } = faultyFiles(d.host.files);
  await prepare({ ...d, host: { ...d.host, files } }, plan);
  const ofOne = calls.filter(({ path }) => path.endsWith('.17.new')).map(({ name }) => name);
  assert.equal(
    ofOne.filter((name) => !/sync/.test(name)),
    ['create', 'file.write', 'file.stat', 'file.setMode', 'file.close'],
  );
});

test('a switch takes one call for each file, and a few for all of them', async ({ d }) => {
  const plan = await planFor(d, [moduleOf(d, 'app', manyFiles())]);
  await prepare(d, plan);
  const { files, calls } = faultyFiles(d.host.files);
  await switchTargets({ ...d.host, files }, plan);
  const renames = calls.filter(({ name }) => name === 'rename');
  assert.is(renames.length, count);
  assert.ok(calls.length < count + 20, `${calls.length} calls for ${count} files`);
});

test('a rename that fails among many is heard, with the name of its target', async ({ d }) => {
  const plan = await planFor(d, [moduleOf(d, 'app', manyFiles())]);
  await prepare(d, plan);
  const [staged = ''] = readdirSync(join(d.targets, 'app/part-1')).filter((name) => name.endsWith('.new'));
  rmSync(join(d.targets, 'app/part-1', staged));
  const said = await refusal(() => switchTargets(d.host, plan));
  assert.match(said, /^DEPLOYMENT_FAILED: .*\/app\/part-\d\/file-\d+: \d+ bytes expected, nothing found/);
});

test('a write that fails among many is heard, with the name of its target', async ({ d }) => {
  const plan = await planFor(d, [moduleOf(d, 'app', manyFiles())]);
  const write = () => Promise.reject(Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' }));
  const open: Files['open'] = async (path, how) => {
    const file = await d.host.files.open(path, how);
    return path.endsWith('.117.new') ? { ...file, write } : file;
  };
  const createMany: Files['createMany'] = (wanted) => createEach({ open }, wanted);
  const said = await refusal(() =>
    prepare({ ...d, host: { ...d.host, files: { ...d.host.files, open, createMany } } }, plan),
  );
  assert.match(said, /^DEPLOYMENT_FAILED: staging .*\/app\/part-\d\/file-\d+: EIO/);
});

test.run();
