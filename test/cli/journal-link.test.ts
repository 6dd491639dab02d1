/** The link by which a boot finds the journal of a work directory that is not the program's own. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootChecks } from '../../src/cli/doctor-boot.ts';
import { linkedJournal, linkJournal } from '../../src/cli/journal-link.ts';
import { realFiles } from '../../src/host/files.ts';

const test = suite('the link to the journal');
let program: string;
let work: string;

test.before.each(() => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'journal-link-')));
  [program, work] = [join(folder, 'program'), join(folder, 'work')];
  for (const directory of [program, join(work, 'backups')]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(program, 'tope-updater-launch'), '');
});
test.after.each(() => rmSync(join(program, '..'), { recursive: true, force: true }));

const isFound = () => existsSync(join(program, 'journal'));
const warnings = async () => (await bootChecks(realFiles(), program, work)).map(({ found }) => found).join();

test('leads to the journal of another work directory, and to nothing where there is none', async () => {
  assert.match(await warnings(), /services start before the files in .*work are whole/);
  await linkJournal(program, work);
  assert.is(await warnings(), '');
  assert.is(isFound(), false);
  writeFileSync(join(work, 'backups', 'journal'), '');
  assert.is(isFound(), true);
});

test("follows the work directory, and goes where that is the program's own", async () => {
  symlinkSync('/nowhere', join(program, 'journal'));
  await linkJournal(program, work);
  assert.is(await linkedJournal(program), join(work, 'backups', 'journal'));
  await linkJournal(program, program);
  assert.is(lstatSync(join(program, 'journal'), { throwIfNoEntry: false }), undefined);
  assert.is(await bootChecks(realFiles(), program, program).then(({ length }) => length), 0);
});

test("a file of that name is nobody's link: it is replaced", async () => {
  writeFileSync(join(program, 'journal'), 'x');
  await linkJournal(program, work);
  assert.is(await linkedJournal(program), join(work, 'backups', 'journal'));
});

test('without a launcher, or before the first start, there is nothing to say', async () => {
  rmSync(work, { recursive: true });
  assert.is(await warnings(), '');
  mkdirSync(work);
  rmSync(join(program, 'tope-updater-launch'));
  assert.is(await warnings(), '');
});

test.run();
