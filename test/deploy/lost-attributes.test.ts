/** Capabilities, access lists and attributes of a replaced file: what is lost is said before it is. */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attributeNames } from '../../src/host/attribute-names.ts';
import { moduleOf, planFor } from './parts.ts';
import { device } from './rig.ts';

const test = suite('what a replaced file loses');

/** Undefined where it worked, else why not. */
function run(...argv: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr);
}

const d = device();
const program = d.put('targets/program', 'old', 0o755);
const list = d.put('targets/list', 'old');
const note = d.put('targets/note', 'old');
d.put('targets/plain', 'old');
const whyNot =
  run('setcap', 'cap_net_raw+ep', program) ??
  run('setfacl', '-m', 'u:1234:r', list) ??
  run('setfattr', '-n', 'user.origin', '-v', 'factory', note) ??
  run('getfattr', '--version');
if (whyNot !== undefined) console.log(`skipped: attributes on this disk: ${whyNot}`);

(whyNot === undefined ? test : test.skip)('is named by the plan, file by file', async () => {
  assert.equal(
    [...(await attributeNames([program, note, `${d.targets}/plain`])).values()],
    [['security.capability'], ['user.origin']],
  );
  const names = ['program', 'list', 'note', 'plain'];
  await planFor(
    d,
    names.map((name) => moduleOf(d, name, { '': 'new' }, false)),
  );
  const warned = d.logged.filter((line) => line.startsWith('warn'));
  assert.is(warned.length, 3, warned.join());
  assert.match(warned.join(), /program has capabilities \(setcap\), which what replaces it will not have/);
  assert.match(warned.join(), /list has an access list \(ACL\), which/);
  assert.match(warned.join(), /note has the attribute user\.origin, which/);
});

test.after(() => d.remove());
test.run();
