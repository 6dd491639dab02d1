/**
 * A Debian whose systemd is really booted, in a container of systemd-nspawn, with the updater in it as its own unit. The root is
 * made once by roots.ts and kept in build/.cache; every container writes to an overlay of its own.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheFolder } from '../../build/runtime.ts';

/** Debian releases, for the systemd that they carry: 252, 247 and 257. */
export const releases = ['bookworm', 'bullseye', 'trixie'] as const;
export type Release = (typeof releases)[number];

export interface Container {
  /** Runs a command line as root inside; rejects when it fails. Gives what it printed. */
  sh(command: string): Promise<string>;
  /** The updater's own command line. */
  updater(...args: string[]): Promise<{ status: number; output: string }>;
  /** Puts a file there, with its directories. */
  put(path: string, content: string | Buffer, mode?: number): void;
  /** Ends all that runs at once and boots again; resolves when systemd is up. */
  crash(): Promise<void>;
  end(): Promise<void>;
}

/** Those to be tested: all, or what RELEASE names. */
export function wantedReleases(names = (process.env.RELEASE ?? '').split(' ')): readonly Release[] {
  const given = names.filter((name) => name !== '');
  const unknown = given.find((name) => !releases.some((release) => release === name));
  if (unknown !== undefined) throw new Error(`RELEASE=${unknown}: must be one of ${releases.join(', ')}`);
  return given.length === 0 ? releases : releases.filter((release) => given.includes(release));
}

/** Undefined where a container of the release can be booted here. */
export function whyNoContainer(release: Release): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root (mmdebstrap, systemd-nspawn)';
  const missing = ['mmdebstrap', 'systemd-nspawn', 'nsenter'].filter(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0,
  );
  if (missing.length > 0)
    return `needs ${missing.join(', ')} (Debian: mmdebstrap systemd-container util-linux)`;
  if (!existsSync(rootOf(release))) return `there is no root of it (make systemd-roots RELEASE=${release})`;
  if (!existsSync('dist/tope-updater.cjs')) return 'dist/tope-updater.cjs is not there (make build)';
  return whyNoNspawn(release);
}

/** Where a machine does not give its root the rights that a container takes. */
function whyNoNspawn(release: Release): string | undefined {
  const options = ['--quiet', '--register=no', '--keep-unit', '--private-network', '--volatile=overlay'];
  const { status, stderr } = spawnSync(
    'systemd-nspawn',
    [...options, `--directory=${rootOf(release)}`, '/bin/true'],
    { encoding: 'utf8', timeout: 30_000 },
  );
  return status === 0 ? undefined : `systemd-nspawn does not run here: ${stderr.trim().split('\n').pop()}`;
}

/** Boots the release and starts the updater in it. */
export async function bootContainer(release: Release): Promise<Container> {
  const lower = rootOf(release);
  // Not in a tmpfs of the test's own: an overlay wants a directory that the kernel takes as its upper one.
  const scratch = mkdtempSync('/tmp/systemd-');
  for (const name of ['upper', 'work', 'root']) mkdirSync(join(scratch, name));
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', scratch]);
  for (const name of ['upper', 'work', 'root']) mkdirSync(join(scratch, name));
  const root = join(scratch, 'root');
  execFileSync('mount', [
    ...[
      '-t',
      'overlay',
      'overlay',
      '-o',
      `lowerdir=${lower},upperdir=${scratch}/upper,workdir=${scratch}/work`,
      root,
    ],
  ]);
  const put: Container['put'] = (path, content, mode = 0o644) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode });
  };
  put('/opt/tope/updater/tope-updater', '#!/bin/sh\nexec /opt/node /opt/tope-updater.cjs "$@"\n', 0o755);
  put('/opt/tope/updater/tope-updater-launch', readFileSync(join('deploy', 'launch.sh')), 0o755);
  for (const unit of ['tope-updater.service', 'tope-updater-recover.service'])
    put(`/etc/systemd/system/${unit}`, readFileSync(join('deploy', unit)));
  // Node with a whole bundle takes more than the packed executable, whose bounds the unit has.
  put(
    '/etc/systemd/system/tope-updater.service.d/node.conf',
    '[Service]\nMemoryHigh=infinity\nMemoryMax=infinity\n',
  );
  put(
    '/etc/default/tope-updater',
    'TOPE_UPDATER_OPTIONS="--allow-root /opt/tope --allow-root /etc/systemd/system --report-url http://127.0.0.1:9/ --keep-package"\n',
  );
  execFileSync('systemctl', [`--root=${root}`, 'enable', '--quiet', 'tope-updater', 'tope-updater-recover'], {
    stdio: 'ignore',
  });
  const console_: string[] = [];
  const machine = `device-${process.pid}-${Math.random().toString(36).slice(2, 6)}`;
  const boot = () => {
    const booted = spawn(
      '/bin/sh',
      [
        ...[
          '-c',
          inOwnGroup,
          machine,
          'systemd-nspawn',
          '--quiet',
          '--boot',
          `--directory=${root}`,
          '--register=no',
          '--keep-unit',
          '--private-network',
        ],
        ...[
          `--bind-ro=${process.execPath}:/opt/node`,
          `--bind-ro=${join(process.cwd(), 'dist/tope-updater.cjs')}:/opt/tope-updater.cjs`,
        ],
        `--machine=${machine}`,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' } },
    );
    for (const stream of [booted.stdout, booted.stderr])
      stream.on('data', (chunk: Buffer) => void console_.push(chunk.toString('latin1')));
    return booted;
  };
  let child: ChildProcess = boot();
  const kill = async () => {
    const leader = await initOf(child).catch(() => undefined);
    if (leader !== undefined) process.kill(leader, 'SIGKILL');
    // It takes its mounts away; where it does not, it is ended, too.
    await Promise.race([new Promise((resolve) => child.once('exit', resolve)), sleep(2000)]);
    child.kill('SIGKILL');
    await sleep(300);
  };
  const isUp = () =>
    until('systemd is up', async () =>
      /running|degraded/.test(await container.sh('systemctl is-system-running || true')),
    );
  const inside = async (argv: readonly string[]) =>
    run(['nsenter', '-t', String(await initOf(child)), '-m', '-u', '-i', '-n', '-p', '--', ...argv]);
  const container: Container = {
    async sh(command) {
      const { status, output } = await inside(['/bin/sh', '-c', `cd /\n${command}`]);
      if (status !== 0) throw new Error(`${command}: status ${status}\n${output}`);
      return output.trim();
    },
    updater: (...args) => inside(['/opt/tope/updater/tope-updater', ...args]),
    put,
    async crash() {
      await kill();
      child = boot();
      await isUp();
    },
    async end() {
      await kill();
      spawnSync('umount', ['-l', root]);
      spawnSync('umount', ['-l', scratch]);
      rmSync(scratch, { recursive: true, force: true });
      spawnSync('/bin/sh', [
        '-c',
        `for h in ${hierarchies}; do find "$h/$0" -depth -type d -exec rmdir {} +; done`,
        machine,
      ]);
    },
  };
  try {
    await isUp();
    await until('the updater answers', async () => (await container.updater('status')).status === 0);
  } catch (error) {
    await container.end();
    throw new Error(`${error}\nconsole:\n${console_.join('').slice(-3000)}`);
  }
  return container;
}

/** Of systemd: cgroup v1, both, v2. */
const hierarchies = '/sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup';

/** Two containers in one control group have the same groups for their units, and each stops what is the other's. */
const inOwnGroup = `
for h in ${hierarchies}; do
  [ ! -f "$h/cgroup.procs" ] || { mkdir "$h/$0" && echo $$ >"$h/$0/cgroup.procs"; } 2>/dev/null
done
exec "$@"
`;

/** Where the root of a release is kept; roots.ts makes it. */
export function rootOf(release: Release): string {
  return join(cacheFolder, 'systemd', release);
}

/** The pid, as seen here, of the container's systemd. */
async function initOf(child: ChildProcess): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
      const stat = existsSync(`/proc/${name}/stat`) ? readFileSync(`/proc/${name}/stat`, 'latin1') : '';
      const parent = Number(
        stat
          .slice(stat.lastIndexOf(')') + 1)
          .trim()
          .split(' ')[1],
      );
      if (parent === child.pid && /^\d+ \(systemd\)/.test(stat)) return Number(name);
    }
    if (child.exitCode !== null) break;
    await sleep(100);
  }
  throw new Error('the container has no systemd');
}

export async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  let last = '';
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(200)) {
    try {
      if (await look()) return;
    } catch (error) {
      last = String(error);
    }
  }
  throw new Error(`never came: ${what} ${last}`);
}

function run(argv: readonly string[]): Promise<{ status: number; output: string }> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status: status ?? -1, output }));
  });
}
