/** The capabilities of a program's file (capabilities(7)): as setcap(8) takes them, and as the attribute `security.capability` keeps them. Pure. */

/** By number. */
const names = (
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service ' +
  'net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin ' +
  'sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override ' +
  'mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'
)
  .split(' ')
  .map((name) => `cap_${name}`);

/** VFS_CAP_REVISION_2, and the bit that makes all of them effective. */
const revision2 = 0x0200_0000;
const effectiveBit = 1;
const valueBytes = 20;

type Flag = 'e' | 'i' | 'p';
type Sets = Record<Flag, bigint>;

/** The value in base64 of a text as cap_from_text(3) takes it (`cap_net_raw,cap_net_admin+ep`, `all=p`); or, as `fault`, why it is none. */
export function capabilitiesValue(text: string): { readonly value: string } | { readonly fault: string } {
  const sets: Sets = { e: 0n, i: 0n, p: 0n };
  const clauses = text.split(/\s+/).filter((clause) => clause !== '');
  if (clauses.length === 0) return { fault: 'names no capability' };
  for (const clause of clauses) {
    const [, list = '', actions = ''] = /^([a-z_,]*)((?:[=+-][eip]*)+)$/i.exec(clause) ?? [];
    if (actions === '') return { fault: `"${clause}" is not of the form cap_net_raw+ep` };
    const bits = bitsOf(list, actions);
    if (typeof bits === 'string') return { fault: bits };
    for (const [, action, flags = ''] of actions.matchAll(/([=+-])([eip]*)/g))
      apply(sets, bits, action, flags);
  }
  const held = sets.p | sets.i;
  if (held === 0n) return { fault: 'leaves the file no capability: "xattrs": "drop" takes away what it had' };
  if (sets.e !== 0n && sets.e !== held)
    return { fault: 'is effective for some of its capabilities only: of a file all are, or none' };
  const value = Buffer.alloc(valueBytes);
  value.writeUInt32LE(revision2 | (sets.e === 0n ? 0 : effectiveBit), 0);
  for (const [index, set] of [sets.p, sets.i].entries()) {
    value.writeUInt32LE(Number(set & 0xffff_ffffn), 4 + 4 * index);
    value.writeUInt32LE(Number(set >> 32n), 12 + 4 * index);
  }
  return { value: value.toString('base64') };
}

/** Such a value in words, as getcap(8) prints it; what is no value of a form that is known is its digits. */
export function capabilitiesText(base64: string): string {
  const value = Buffer.from(base64, 'base64');
  const revision = value.length < valueBytes ? 0 : value.readUInt32LE(0) & 0xff00_0000;
  // Revision 3 has the namespace's root behind the same fields.
  if (revision !== revision2 && revision !== 0x0300_0000) return value.toString('hex');
  const isEffective = (value.readUInt32LE(0) & effectiveBit) !== 0;
  const set = (index: number) =>
    BigInt(value.readUInt32LE(4 + 4 * index)) | (BigInt(value.readUInt32LE(12 + 4 * index)) << 32n);
  const [permitted, inheritable] = [set(0), set(1)];
  const byFlags = new Map<string, string[]>();
  for (let number = 0n; number < 64n; number++) {
    const has = (bits: bigint) => ((bits >> number) & 1n) === 1n;
    if (!has(permitted) && !has(inheritable)) continue;
    const flags = `${isEffective ? 'e' : ''}${has(inheritable) ? 'i' : ''}${has(permitted) ? 'p' : ''}`;
    byFlags.set(flags, [...(byFlags.get(flags) ?? []), names[Number(number)] ?? `${number}`]);
  }
  return [...byFlags].map(([flags, list]) => `${list.join(',')}=${flags}`).join(' ') || 'none';
}

/** The capabilities that a clause names; a fault in words. */
function bitsOf(list: string, actions: string): bigint | string {
  if (list === '' && !actions.startsWith('=')) return `"${actions}" names no capability`;
  if (list === '' || list.toLowerCase() === 'all') return (1n << BigInt(names.length)) - 1n;
  let bits = 0n;
  for (const name of list.toLowerCase().split(',')) {
    const number = names.indexOf(name);
    if (number < 0) return `"${name}" is no capability`;
    bits |= 1n << BigInt(number);
  }
  return bits;
}

function apply(sets: Sets, bits: bigint, action: string | undefined, flags: string): void {
  for (const flag of ['e', 'i', 'p'] as const) {
    const isNamed = flags.includes(flag);
    if (action === '=') sets[flag] = isNamed ? sets[flag] | bits : sets[flag] & ~bits;
    else if (isNamed) sets[flag] = action === '+' ? sets[flag] | bits : sets[flag] & ~bits;
  }
}
