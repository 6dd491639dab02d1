/**
 * A fresh Debian in a folder, for what dpkg and its scripts do: no systemd runs and nothing of this machine is reached. Its root
 * is made once by roots.ts; each test writes to an overlay of its own.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cacheFolder } from '../../build/runtime.ts';
import { type Emulated, emulate, type ForeignArchitecture, whyNotEmulated } from './emulated.ts';

/** Debian 12 and 13, also for the architectures of boards. */
export const debians = [
  { name: 'bookworm', release: 'bookworm', architecture: 'amd64' },
  { name: 'trixie', release: 'trixie', architecture: 'amd64' },
  { name: 'bookworm-arm64', release: 'bookworm', architecture: 'arm64' },
  { name: 'trixie-arm64', release: 'trixie', architecture: 'arm64' },
  { name: 'bookworm-armhf', release: 'bookworm', architecture: 'armhf' },
  { name: 'trixie-armhf', release: 'trixie', architecture: 'armhf' },
] as const satisfies readonly DebianShape[];
export type Debian = (typeof debians)[number];

interface DebianShape {
  readonly name: string;
  readonly release: string;
  readonly architecture: 'amd64' | ForeignArchitecture;
}

/** What the packages depend on and a minimal Debian does not have. Debian 12 has no Node.js that is new enough. */
export function dependencies({ name }: Debian): readonly string[] {
  return ['libstdc++6', 'libatomic1', ...(name === 'trixie' ? ['nodejs'] : [])];
}

export interface Chroot {
  readonly root: string;
  /** The command line that runs another one inside. */
  argv(command: readonly string[]): [string, ...string[]];
  /** Runs a command line as root inside. */
  run(command: string): { readonly status: number; readonly output: string };
  /** The same; throws where it fails. Gives what it printed. */
  sh(command: string): string;
  /** Puts a file there, with its directories. */
  put(path: string, content: string, mode?: number): void;
  /** Brings a file there; gives its place. */
  bring(path: string): string;
  /** Every name, with kind, mode, owner and link, but for what dpkg and apt keep for themselves. */
  names(): string[];
}

/** Where its root is kept. */
export function rootOf({ name }: Debian): string {
  return join(cacheFolder, 'debian', name);
}

/** Undefined where there can be one. */
export function whyNoChroot(debian: Debian): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('dpkg-deb', ['--version']).status !== 0) return 'needs dpkg-deb (Debian: dpkg)';
  if (!existsSync(rootOf(debian))) return `there is no root of it (make deb-roots RELEASE=${debian.name})`;
  return debian.architecture === 'amd64' ? undefined : whyNotEmulated(debian.architecture);
}

export async function withChroot(debian: Debian, use: (chroot: Chroot) => Promise<void>): Promise<void> {
  // Not in a tmpfs of the test's own: an overlay wants a directory that the kernel takes as its upper one.
  const scratch = mkdtempSync('/tmp/debian-');
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', scratch]);
  for (const name of ['upper', 'work', 'root']) mkdirSync(join(scratch, name));
  const root = join(scratch, 'root');
  const layers = `lowerdir=${rootOf(debian)},upperdir=${scratch}/upper,workdir=${scratch}/work`;
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, root]);
  execFileSync('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
  let emulated: Emulated | undefined;
  try {
    if (debian.architecture !== 'amd64') emulated = await emulate(debian.architecture);
    await use(chrootAt(root, emulated));
  } finally {
    emulated?.end();
    for (const mounted of [join(root, 'proc'), root, scratch]) spawnSync('umount', ['-l', mounted]);
    rmSync(scratch, { recursive: true, force: true });
  }
}

function chrootAt(root: string, emulated: Emulated | undefined): Chroot {
  const argv: Chroot['argv'] = (command) => {
    const inside = ['chroot', root, ...command] as const;
    return emulated === undefined ? [...inside] : emulated.argv(inside);
  };
  const run: Chroot['run'] = (command) => {
    const [program, ...args] = argv(['sh', '-c', `exec 2>&1; cd /; ${command}`]);
    const { status, stdout } = spawnSync(program, args, {
      encoding: 'utf8',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
      timeout: emulated === undefined ? 120_000 : 600_000,
    });
    return { status: status ?? -1, output: stdout.trim() };
  };
  const put: Chroot['put'] = (path, content, mode = 0o644) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode });
  };
  return {
    root,
    argv,
    run,
    put,
    sh(command) {
      const { status, output } = run(command);
      if (status !== 0) throw new Error(`${command}: status ${status}\n${output}`);
      return output;
    },
    bring(path) {
      const place = `/root/${basename(path)}`;
      copyFileSync(path, join(root, place));
      return place;
    },
    names() {
      const theirs = '/proc /var/lib/dpkg /var/lib/apt /var/cache /var/log /root /tmp /dev'.split(' ');
      const left = theirs.map((path) => `-path ${path}`).join(' -o ');
      const found = this.sh(`find / \\( ${left} \\) -prune -o -printf '%p %y %m %u:%g %l\\n'`);
      return found.split('\n').sort();
    },
  };
}
