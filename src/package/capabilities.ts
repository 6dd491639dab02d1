/**
 * Capabilities of a program, from the text that setcap(8) takes to the value of the file's `security.capability`. Pure.
 *
 *     text    one or more clauses: names joined by ",", then "=" or "+", then flags of "e", "i" and "p"
 *     value   le32 0x02000000 | effective, le32 permitted 0-31, inheritable 0-31, permitted 32-63, inheritable 32-63
 *             (struct vfs_cap_data, revision 2; linux/capability.h)
 */
import type { FileCapabilities } from '../release.ts';

/** In the order of their numbers (linux/capability.h up to Linux 6). */
const names = [
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service',
  'net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin',
  'sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override',
  'mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore',
].flatMap((line) => line.split(' '));

const revision2 = 0x02000000;

/** The capabilities of a text, or why it has none, as a predicate. */
export function parseCapabilities(text: string): FileCapabilities | { readonly fault: string } {
  let [permitted, inheritable, effective] = [0n, 0n, 0n];
  const seen = new Set<string>();
  for (const clause of text.trim().split(/\s+/)) {
    const [, list, flags] = /^([a-z_,]+)[=+]([eip]+)$/.exec(clause) ?? [];
    if (list === undefined || flags === undefined)
      return { fault: 'must be capabilities such as "cap_net_raw,cap_net_admin+ep"' };
    for (const name of list.split(',')) {
      const number = name.startsWith('cap_') ? names.indexOf(name.slice(4)) : -1;
      if (number < 0) return { fault: `names no capability of Linux with "${name}"` };
      if (seen.has(name)) return { fault: `names ${name} twice` };
      seen.add(name);
      const bit = 1n << BigInt(number);
      if (flags.includes('p')) permitted |= bit;
      if (flags.includes('i')) inheritable |= bit;
      if (flags.includes('e')) effective |= bit;
    }
  }
  // One bit of the file says it of all: those that are to be had at once must be all that can be had.
  if (effective !== 0n && effective !== (permitted | inheritable))
    return { fault: 'must have "e" for all of its capabilities or for none: a file knows no difference' };
  return { text, xattrHex: xattrHexOf(permitted, inheritable, effective !== 0n) };
}

function xattrHexOf(permitted: bigint, inheritable: bigint, isEffective: boolean): string {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(isEffective ? revision2 | 1 : revision2, 0);
  [permitted, inheritable].forEach((set, index) => {
    bytes.writeUInt32LE(Number(set & 0xffffffffn), 4 + 4 * index);
    bytes.writeUInt32LE(Number(set >> 32n), 12 + 4 * index);
  });
  return bytes.toString('hex');
}
