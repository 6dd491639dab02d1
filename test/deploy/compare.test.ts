/** What stands against what was deployed: each way in which a file can differ, in its own words. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createComparer, type Difference, extraFiles } from '../../src/deploy/compare.ts';
import type { DeployedFile } from '../../src/deploy/deployed-record.ts';
import type { Files } from '../../src/host/host.ts';
import { sealOf } from '../fixtures/seal-of.ts';
import { systemError } from '../powercut/system-error.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('compare', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

const never = new AbortController().signal;
const content = 'as it was deployed';
const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];

function deployed(d: Device): DeployedFile {
  const path = d.put('targets/web/js/app.js', content, 0o640);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const facts = { entry: 'web/js/app.js', sizeBytes: content.length, mode: 0o640, uid, gid, sha256 };
  return { kind: 'file', module: 'web', path, ...facts };
}

function compare(
  d: Device,
  file: DeployedFile,
  files: Files = d.host.files,
): Promise<Difference | undefined> {
  return createComparer(files, { signal: never, pace: () => undefined }).file(file);
}

test('a file that grows without end is read as far as it was long', async ({ d }) => {
  const file = deployed(d);
  let reads = 0;
  const open: Files['open'] = async (path, how) => {
    const opened = await d.host.files.open(path, how);
    const read: typeof opened.read = async (buffer, offset, length, position) => {
      reads += 1;
      if (reads > 10) throw new Error('read on and on');
      writeFileSync(file.path, 'and on', { flag: 'a' });
      return opened.read(buffer, offset, length, position);
    };
    return path === file.path ? { ...opened, read } : opened;
  };
  assert.is(await compare(d, file, { ...d.host.files, open }), undefined);
  assert.is(reads, 1);
});

test('untouched: no difference', async ({ d }) => {
  assert.is(await compare(d, deployed(d)), undefined);
});

const cases: readonly (readonly [string, (path: string) => void, Difference['kind'], RegExp])[] = [
  ['gone', (path) => rmSync(path), 'missing', /^is missing$/],
  [
    'gone with its directory',
    (path) => rmSync(dirname(path), { recursive: true }),
    'missing',
    /^is missing$/,
  ],
  ['longer', (path) => writeFileSync(path, `${content}!`), 'content', /holds 19 bytes, 18 were deployed/],
  [
    'one bit of it',
    (path) => writeFileSync(path, content.replace('was', 'wAs')),
    'content',
    /other bytes: SHA-256 [0-9a-f]{16}\.\.\., [0-9a-f]{16}\.\.\. was deployed/,
  ],
  ['its mode', (path) => chmodSync(path, 0o4777), 'attributes', /has mode 4777, 0640 was deployed/],
  [
    'a symlink to the right bytes',
    (path) => {
      renameSync(path, `${path}.real`);
      symlinkSync('app.js.real', path);
    },
    'kind',
    /is a symlink to app\.js\.real, not a regular file/,
  ],
  [
    'a directory in its place',
    (path) => {
      rmSync(path);
      mkdirSync(path);
    },
    'kind',
    /is a directory, not a regular file/,
  ],
  [
    'its directory is a symlink now',
    (path) => {
      renameSync(dirname(path), `${dirname(path)}2`);
      symlinkSync('js2', dirname(path));
    },
    'kind',
    /js is a symlink now and leads to \S+js2$/,
  ],
  [
    'a file in the place of its directory',
    (path) => {
      rmSync(dirname(path), { recursive: true });
      writeFileSync(dirname(path), '');
    },
    'missing',
    /is missing/,
  ],
];
for (const [what, change, kind, expected] of cases)
  test(`${what}: ${kind}`, async ({ d }) => {
    const file = deployed(d);
    change(file.path);
    const found = await compare(d, file);
    assert.is(found?.kind, kind);
    assert.match(found?.text ?? '', expected);
  });

test('remembered by its seal: no difference untouched, and one bit is told without a figure', async ({
  d,
}) => {
  const { sha256: _, ...facts } = deployed(d);
  const file: DeployedFile = { ...facts, seal: sealOf(Buffer.from(content), 'ab'.repeat(32)) };
  assert.is(await compare(d, file), undefined);
  writeFileSync(file.path, content.replace('was', 'wAs'));
  assert.equal(await compare(d, file), { kind: 'content', text: 'holds other bytes than were deployed' });
});

test('its owner, as the record has it', async ({ d }) => {
  const found = await compare(d, { ...deployed(d), uid: uid + 1 });
  assert.equal(found, {
    kind: 'attributes',
    text: `belongs to ${uid}:${gid}, ${uid + 1}:${gid} was deployed`,
  });
});

test('a block that the disk gives no more: unreadable, with its error; the others are compared on', async ({
  d,
}) => {
  const broken: Files = {
    ...d.host.files,
    open: async (path, how) => {
      const file = await d.host.files.open(path, how);
      const read = async () => {
        throw systemError('EIO', 'read', path);
      };
      return { ...file, read, close: () => file.close() };
    },
  };
  const found = await compare(d, deployed(d), broken);
  assert.is(found?.kind, 'unreadable');
  assert.match(found?.text ?? '', /cannot be read: EIO/);
});

test('given up in the middle of a large file, with the reason', async ({ d }) => {
  const path = d.put('targets/big', 'x'.repeat(2_000_000));
  const stop = new AbortController();
  const pace = (bytes: number) => {
    if (bytes > 100_000) stop.abort(new Error('other work'));
    return undefined;
  };
  const file = { ...deployed(d), path, sizeBytes: 2_000_000 };
  const comparer = createComparer(d.host.files, { signal: stop.signal, pace });
  await comparer.file(file).then(
    () => assert.unreachable(),
    (thrown: Error) => assert.is(thrown.message, 'other work'),
  );
});

test('what nobody deployed below a tree: files and links, not what a link leads to', async ({ d }) => {
  const file = deployed(d);
  const tree = join(d.targets, 'web');
  const cache = d.put('targets/web/cache/one', '1');
  symlinkSync('/etc', join(tree, 'link'));
  const found: string[] = [];
  for await (const path of extraFiles(d.host.files, tree, new Set([file.path]), never)) found.push(path);
  assert.equal(found, [cache, join(tree, 'link')]);
  for await (const path of extraFiles(d.host.files, join(tree, 'none'), new Set(), never))
    assert.unreachable(path);
});

test.run();
