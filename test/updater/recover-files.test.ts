/** What the boot does with a cut transaction before any service starts: it goes the way that the daemon would go. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { beginJournal } from '../../src/deploy/journal-file.ts';
import { realClock } from '../../src/host/clock.ts';
import { limits } from '../../src/limits.ts';
import { recoverFiles } from '../../src/updater/recover-files.ts';
import { createStore } from '../../src/updater/store.ts';
import { moduleOf, planFor, prepare } from '../deploy/parts.ts';
import { type Device, device } from '../deploy/rig.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('the files at boot', {} as Context);
test.before.each((context) => {
  context.d = device();
});
test.after.each(({ d }) => d.remove());

/** An update of one file, cut when its switch was to begin, after so many starts. */
async function cut(d: Device, starts: number | undefined): Promise<'nothing' | 'finished' | 'undone'> {
  const work = join(d.root, 'work');
  d.put('targets/app/file', 'old');
  const plan = await planFor(d, [moduleOf(d, 'app', { file: 'new' })]);
  await prepare(d, plan);
  const journal = await beginJournal(d.host, d.backups, plan);
  await journal.append({ state: 'switching' });
  await journal.close();
  if (starts !== undefined)
    await createStore(d.host, work).save({
      ...{ operation: 'repair', stage: 'installing', last_update: new Date(0).toISOString() },
      ...{ error: null, install_starts: starts },
    });
  return recoverFiles({ ...d.host, clock: realClock() }, work);
}

const standing = (d: Device) => readFileSync(join(d.targets, 'app/file'), 'utf8');

test('an update that may go on is finished, by the state that the daemon has saved', async ({ d }) => {
  assert.is(await cut(d, 0), 'finished');
  assert.is(standing(d), 'new');
  assert.not(existsSync(join(d.root, 'work/tmp/tmp')));
});

test('one that was cut too often, or that nobody asked for any more, is taken back', async ({ d }) => {
  assert.is(await cut(d, limits.installStarts - 1), 'undone');
  assert.is(standing(d), 'old');
  const other = device();
  assert.is(await cut(other, undefined), 'undone');
  other.remove();
});

test.run();
