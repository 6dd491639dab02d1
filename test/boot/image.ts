/**
 * The disks of the virtual machine: a Debian with systemd, whose files are installed once and kept in build/.cache, and
 * the release of dist/ as a second disk. Both are made anew for every run.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../../build/runtime.ts';

const rootfs = join(cacheFolder, 'boot/rootfs');

export interface Disks {
  readonly kernel: string;
  readonly initrd: string;
  /** The root filesystem, writable, this run's own. */
  readonly root: string;
  /** dist/ as a filesystem of its own. */
  readonly release: string;
}

/** Makes the disks in `scratch`. The first time it installs a Debian, which takes a minute or two. */
export function makeDisks(scratch: string, dist: string): Disks {
  if (!existsSync(rootfs)) installDebian();
  configure();
  const root = join(scratch, 'root.img');
  makeFilesystem(rootfs, root, '1200M');
  const release = join(scratch, 'release.img');
  const content = join(scratch, 'release');
  mkdirSync(content);
  for (const name of readdirSync(dist)) {
    if (/-x64$|_amd64\.deb$|^SHA256SUMS$|^(install|launch)\.sh$|\.service$|\.init$|\.8$|\.bash$/.test(name))
      cpSync(join(dist, name), join(content, name));
  }
  makeFilesystem(content, release, '200M');
  const boot = join(rootfs, 'boot');
  const [kernel = '', initrd = ''] = ['vmlinuz-', 'initrd.img-'].map((prefix) => {
    const name = readdirSync(boot).find((file) => file.startsWith(prefix));
    if (name === undefined) throw new Error(`${boot} has no ${prefix}*`);
    return join(boot, name);
  });
  return { kernel, initrd, root, release };
}

const packages = [
  'systemd-sysv',
  'udev',
  'linux-image-cloud-amd64',
  'initramfs-tools',
  'libstdc++6',
  'libatomic1',
  'procps',
];

function installDebian(): void {
  console.log('installing a Debian for the virtual machine (once)');
  const partial = `${rootfs}.new`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(dirname(rootfs), { recursive: true });
  // The package sources of this machine: it is known that they can be reached.
  const sources = ['/etc/apt/sources.list', '/etc/apt/sources.list.d/debian.sources'].find(existsSync);
  const options = [
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    '--aptopt=Acquire::Languages "none"',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
  ];
  execFileSync('mmdebstrap', [...options, 'bookworm', partial, ...(sources === undefined ? [] : [sources])], {
    stdio: 'ignore',
    timeout: 600_000,
  });
  renameSync(partial, rootfs);
}

function configure(): void {
  for (const [path, text] of Object.entries(configuration)) {
    mkdirSync(dirname(join(rootfs, path)), { recursive: true });
    writeFileSync(join(rootfs, path), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
  execFileSync('systemctl', [`--root=${rootfs}`, 'enable', 'systemd-networkd', 'control', 'demo'], {
    stdio: 'ignore',
  });
}

/** What is set up in the guest: a fixed address, a root shell on the second serial line, a service to be updated. */
const configuration: Readonly<Record<string, string>> = {
  'etc/fstab': '/dev/vda / ext4 defaults 0 1\n/dev/vdb /release ext4 ro 0 0\n',
  'etc/hostname': 'device\n',
  'etc/systemd/network/10-wired.network':
    '[Match]\nType=ether\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n',
  'etc/systemd/system/control.service': [
    '[Unit]',
    'Description=root shell for the test',
    'DefaultDependencies=no',
    'After=local-fs.target',
    '[Service]',
    'StandardInput=tty-force',
    'StandardOutput=tty',
    'StandardError=tty',
    'TTYPath=/dev/ttyS1',
    // Through a pipe, or the shell would take itself for an interactive one and print prompts.
    `ExecStart=/bin/sh -c 'stty -echo; cat | sh'`,
    'Restart=always',
    '[Install]',
    'WantedBy=basic.target',
    '',
  ].join('\n'),
  'etc/systemd/system/demo.service': [
    '[Unit]',
    'Description=a service that is updated',
    '[Service]',
    'ExecStart=/opt/tope/demo/demo-service',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n'),
  'opt/tope/demo/demo-service': '#!/bin/sh\n# version 0.0.0\nexec sleep infinity\n',
  'etc/default/tope-updater': 'TOPE_UPDATER_OPTIONS="--host 0.0.0.0 --report-url http://127.0.0.1:9/"\n',
  'release/.keep': '',
};

function makeFilesystem(content: string, image: string, size: string): void {
  rmSync(image, { force: true });
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', content, image, size], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
