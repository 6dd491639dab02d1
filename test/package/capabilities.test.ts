/** Capabilities of a manifest: the value is the one that setcap(8) writes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCapabilities } from '../../src/package/capabilities.ts';

const test = suite('capabilities of a manifest');

function xattrOf(text: string): string {
  const parsed = parseCapabilities(text);
  if ('fault' in parsed) throw new Error(parsed.fault);
  return parsed.xattrHex;
}

test('become the value of security.capability', () => {
  assert.is(xattrOf('cap_net_raw+ep'), '0100000200200000000000000000000000000000');
  assert.is(xattrOf('cap_net_bind_service,cap_bpf=p'), '0000000200040000000000008000000000000000');
});

for (const [text, why] of [
  ['', /such as/],
  ['cap_net_raw', /such as/],
  ['cap_net_raw+x', /such as/],
  ['cap_everything+ep', /no capability of Linux with "cap_everything"/],
  ['net_raw+ep', /no capability of Linux/],
  ['cap_kill+p cap_kill+i', /names cap_kill twice/],
  ['cap_kill+ep cap_chown+p', /"e" for all/],
] as const) {
  test(`${JSON.stringify(text)} is refused`, () => {
    const parsed = parseCapabilities(text);
    assert.match('fault' in parsed ? parsed.fault : '', why);
  });
}

/** Undefined where this user or this filesystem cannot; the fixed values above are judged everywhere. */
function setcapValue(text: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'tope-capabilities-'));
  try {
    const file = join(folder, 'program');
    writeFileSync(file, '');
    execFileSync('setcap', [text, file], { stdio: 'pipe' });
    const told = execFileSync('getfattr', ['-e', 'hex', '-n', 'security.capability', file], {
      stdio: 'pipe',
    });
    return /=0x([0-9a-f]+)/.exec(told.toString())?.[1];
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const canSet = setcapValue('cap_kill+p') !== undefined;
for (const text of [
  'cap_net_raw+ep',
  'cap_net_raw,cap_net_admin=eip',
  'cap_chown+p cap_kill+i',
  'cap_checkpoint_restore+ep',
  'cap_wake_alarm,cap_audit_read+i',
]) {
  test(`${text} is what setcap writes${canSet ? '' : ' (skipped: needs root, setcap and getfattr)'}`, () => {
    if (canSet) assert.is(xattrOf(text), setcapValue(text));
  });
}

test.run();
