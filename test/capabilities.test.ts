/** Capabilities of a file: the text that setcap(8) takes, the value that the kernel keeps, and back. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { capabilitiesText, capabilitiesValue } from '../src/capabilities.ts';

const test = suite('capabilities');

function hexOf(text: string): string {
  const made = capabilitiesValue(text);
  if ('fault' in made) throw new Error(made.fault);
  return Buffer.from(made.value, 'base64').toString('hex');
}

test('the binary value of linux/capability.h, little-endian: flags, permitted, inheritable, their upper halves', () => {
  assert.is(hexOf('cap_net_raw+ep'), '0100000200200000000000000000000000000000');
  assert.is(hexOf('cap_chown,cap_bpf=p'), '0000000201000000000000008000000000000000');
  assert.is(hexOf('CAP_NET_RAW=i'), '0000000200000000002000000000000000000000');
});

test('in words as getcap prints them', () => {
  const back = (text: string) => capabilitiesText(Buffer.from(hexOf(text), 'hex').toString('base64'));
  assert.is(back('cap_net_raw+ep'), 'cap_net_raw=ep');
  assert.is(back('cap_net_raw,cap_net_admin=eip'), 'cap_net_admin,cap_net_raw=eip');
  assert.is(back('cap_net_raw=ep cap_chown=ei'), 'cap_chown=ei cap_net_raw=ep');
  assert.is(back('cap_net_raw=eip-i'), 'cap_net_raw=ep');
  assert.is(back('all=ep cap_sys_admin-ep').includes('cap_sys_admin'), false);
  assert.is(capabilitiesText(Buffer.from('0102', 'hex').toString('base64')), '0102');
});

test('what is no such text is told with what is wrong', () => {
  for (const [text, why] of [
    ['', /names no capability/],
    ['cap_net_raw', /not of the form/],
    ['cap_net_rwa+ep', /"cap_net_rwa" is no capability/],
    ['+ep', /names no capability/],
    ['cap_net_raw+x', /not of the form/],
    ['cap_net_raw=ep cap_chown=p', /some of its capabilities only/],
    ['cap_net_raw=', /leaves the file no capability/],
  ] as const) {
    const made = capabilitiesValue(text);
    assert.match('fault' in made ? made.fault : 'none', why, text);
  }
});

const scratch = mkdtempSync(join(tmpdir(), 'tope-capabilities-'));
const program = join(scratch, 'program');
writeFileSync(program, '');
const set = (text: string) => spawnSync('setcap', [text, program], { encoding: 'utf8' });
const hasPrograms = set('cap_net_raw+ep').status === 0 && spawnSync('getfattr', ['--version']).status === 0;
if (!hasPrograms) console.log('skipped: setcap and getfattr on this disk');

(hasPrograms ? test : test.skip)('the same value as setcap writes', () => {
  for (const text of [
    'cap_net_raw+ep',
    'cap_net_bind_service,cap_perfmon=eip',
    'cap_chown+p cap_kill+i',
    '=ep',
  ]) {
    assert.is(set(text).status, 0, text);
    const read = spawnSync('getfattr', ['-n', 'security.capability', '-e', 'hex', '--only-values', program]);
    assert.is(read.stdout.toString('hex'), hexOf(text), text);
  }
});

test.after(() => rmSync(scratch, { recursive: true, force: true }));
test.run();
