/** A witness of a survey: it is silent as long as nothing has changed, and names whatever has, however it was hidden. */
import {
  chmodSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openWitness } from '../../src/deploy/witness.ts';
import { realClock } from '../../src/host/clock.ts';
import type { Files } from '../../src/host/host.ts';
import { type Device, device } from './rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('witness', {} as Context);
test.before.each((context) => {
  context.d = device();
  context.d.put('targets/app/one', 'one');
  context.d.put('targets/app/two', 'two');
  mkdirSync(join(context.d.targets, 'app/empty'));
});
test.after.each(({ d }) => d.remove());

/** Of a survey that looked at all there is, so long after the last change that nothing is in doubt. */
async function witnessOf(d: Device, laterMs = 10_000, files: Files = d.host.files) {
  const clock = realClock();
  const host = { files, clock: { ...clock, now: () => clock.now() + laterMs } };
  const witness = await openWitness(host);
  const app = join(d.targets, 'app');
  await witness.files.realPath(app);
  await witness.files.stat(app);
  for (const name of [...(await witness.files.list(app)), 'absent'])
    await witness.files.stat(join(app, name));
  await witness.files.stat(join(d.targets, 'nowhere/at/all'));
  await witness.files.mountPoints();
  await witness.files.realPath(join(d.targets, 'nowhere')).catch(() => undefined);
  return witness;
}

test('nothing has changed: nothing is named, also when it is asked twice', async ({ d }) => {
  const witness = await witnessOf(d);
  assert.is(await witness.change(), undefined);
  assert.is(await witness.change(), undefined);
});

const changes: Record<string, [act: (path: (name: string) => string) => void, named: RegExp]> = {
  'other bytes of the same size and with the old times': [
    (path) => {
      const { atime, mtime } = statSync(path('one'));
      writeFileSync(path('one'), 'ONE');
      utimesSync(path('one'), atime, mtime);
    },
    /app\/one$/,
  ],
  'another mode': [(path) => chmodSync(path('two'), 0o600), /app\/two$/],
  'one more name': [(path) => linkSync(path('two'), path('../other')), /app\/two$/],
  'a file that has gone': [(path) => rmSync(path('two')), /app/],
  'a file that has come where none was': [(path) => writeFileSync(path('absent'), ''), /app/],
  'a file that has come where no directory was': [
    (path) => {
      mkdirSync(path('../nowhere/at'), { recursive: true });
      writeFileSync(path('../nowhere/at/all'), '');
    },
    /nowhere/,
  ],
  'a new name in a directory that was read': [(path) => writeFileSync(path('new'), ''), /app$/],
  'a directory of another mode': [(path) => chmodSync(path('empty'), 0o700), /app\/empty$/],
  'another directory of the same content': [
    (path) => {
      renameSync(path('empty'), path('../gone'));
      mkdirSync(path('empty'));
    },
    /app/,
  ],
  'a directory that became a symlink to itself': [
    (path) => {
      renameSync(path('.'), path('../real'));
      symlinkSync('real', path('.').replace(/\/$/, ''));
    },
    /app$/,
  ],
};
for (const [what, [act, named]] of Object.entries(changes))
  test(`${what}: it is named`, async ({ d }) => {
    const witness = await witnessOf(d);
    act((name) => join(d.targets, 'app', name));
    assert.match((await witness.change().catch(String)) ?? 'nothing', named);
  });

test('what was changed a moment before it was looked at proves nothing', async ({ d }) => {
  const witness = await witnessOf(d, 0);
  assert.match((await witness.change()) ?? '', /app/);
});

test('a time of change with a part of a second tells soon, one of whole seconds only when the tick of vfat is over', async ({
  d,
}) => {
  const { files } = d.host;
  const coarse = {
    ...files,
    stat: async (path: string) => {
      const stat = await files.stat(path);
      return stat && { ...stat, changedNs: stat.changedNs - (stat.changedNs % 1_000_000_000n) };
    },
  };
  assert.is(await (await witnessOf(d, 500)).change(), undefined);
  assert.match((await (await witnessOf(d, 500, coarse)).change()) ?? '', /app/);
});

test('what will have been changed in the future, by a clock that was set back, proves nothing', async ({
  d,
}) => {
  const witness = await witnessOf(d, -3_600_000);
  assert.match((await witness.change()) ?? '', /app/);
});

test.run();
