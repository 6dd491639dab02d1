/**
 * Programs of another architecture run by qemu-user-static. The kernel's table of program formats is one of a user namespace here (Linux
 * 6.7), whose ids are this machine's own: what is registered in it changes nothing for anybody else.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Debian's name of an architecture -> that of qemu, as which the kernel knows it. */
const qemuNames = { arm64: 'aarch64', armhf: 'arm' } as const;
export type ForeignArchitecture = keyof typeof qemuNames;

export interface Emulated {
  /** The command line that runs another one where programs of the architecture run. */
  argv(command: readonly string[]): [string, ...string[]];
  end(): void;
}

/** Undefined where such programs can be run. */
export function whyNotEmulated(architecture: ForeignArchitecture): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(formatOf(architecture))) return 'needs qemu (Debian: qemu-user-static)';
  const script =
    'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && [ -e /proc/sys/fs/binfmt_misc/register ]';
  const mounted = spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', script]);
  return mounted.status === 0 ? undefined : 'needs a table of formats for each user namespace (Linux 6.7)';
}

/** A namespace in which such programs run, until it is ended; it has the mounts of now. */
export async function emulate(architecture: ForeignArchitecture): Promise<Emulated> {
  const holder = spawn('unshare', ['--user', '--mount', 'sh', '-c', register], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, FORMAT: registration(architecture) },
  });
  const { pid } = holder;
  if (pid === undefined) throw new Error('unshare does not start');
  const own = readlinkSync('/proc/self/ns/user');
  for (let tries = 0; readlinkSync(`/proc/${pid}/ns/user`) === own; tries++) {
    if (tries > 500) throw new Error('unshare makes no user namespace');
    await sleep(10);
  }
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, '0 0 65536\n');
  holder.stdin.write('\n');
  await new Promise<void>((done, fail) => {
    holder.stdout.once('data', () => done());
    holder.once('exit', () => fail(new Error(`programs of ${architecture} cannot be registered`)));
  });
  return {
    argv: (command) => ['nsenter', '--user', '--mount', `--target=${pid}`, '--', ...command],
    end: () => holder.stdin.end(),
  };
}

/** Waits for its ids, then for its end. */
const register = `set -e
read -r go
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf %s "$FORMAT" >/proc/sys/fs/binfmt_misc/register
echo ready
read -r end || :`;

/** What Debian registers; F: the emulator is opened now, as a chroot has none. */
function registration(architecture: ForeignArchitecture): string {
  const text = readFileSync(formatOf(architecture), 'utf8');
  const value = (name: string) => new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? '';
  return `:${qemuNames[architecture]}:M::${value('magic')}:${value('mask')}:${value('interpreter')}:OPF`;
}

function formatOf(architecture: ForeignArchitecture): string {
  return `/usr/share/binfmts/qemu-${qemuNames[architecture]}`;
}
