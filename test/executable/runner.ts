/** How the executable of each architecture is run on this machine: natively, under qemu-user, or why not at all. */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Arch } from '../../build/runtime.ts';

export interface Runner {
  readonly arch: Arch;
  /** Command line up to the executable's own arguments. */
  readonly argv: readonly string[];
  readonly isEmulated: boolean;
}

const nativeArch: Readonly<Record<string, Arch>> = { x64: 'x64', arm64: 'arm64', arm: 'armv7' };

/** qemu's program, and the Debian packages that hold it and the libraries an executable is linked to. */
const emulators: Readonly<Record<Arch, { program: string; sysroot: string; packages: string }>> = {
  x64: {
    program: 'qemu-x86_64-static',
    sysroot: '/usr/x86_64-linux-gnu',
    packages: 'libstdc++6-amd64-cross',
  },
  arm64: {
    program: 'qemu-aarch64-static',
    sysroot: '/usr/aarch64-linux-gnu',
    packages: 'libstdc++6-arm64-cross',
  },
  armv7: {
    program: 'qemu-arm-static',
    sysroot: '/usr/arm-linux-gnueabihf',
    packages: 'libstdc++6-armhf-cross libatomic1-armhf-cross',
  },
};

/** The runner, or the reason why this executable cannot be tried here. */
export function runnerOf(arch: Arch): Runner | string {
  if (process.env.ARCH !== undefined && process.env.ARCH !== '' && process.env.ARCH !== arch)
    return `only ARCH=${process.env.ARCH} was asked for`;
  const executable = resolve(`dist/tope-updater-${arch}`);
  if (!existsSync(executable)) return `dist/tope-updater-${arch} is not there (make dist ARCH=${arch})`;
  const bundle = resolve('dist/tope-updater.cjs');
  if (existsSync(bundle) && statSync(bundle).mtimeMs > statSync(executable).mtimeMs)
    return `dist/tope-updater-${arch} is older than the sources (make dist ARCH=${arch})`;
  if (nativeArch[process.arch] === arch) return { arch, argv: [executable], isEmulated: false };

  const { program, sysroot, packages } = emulators[arch];
  const isThere =
    spawnSync(program, ['--version']).status === 0 && existsSync(`${sysroot}/lib/libstdc++.so.6`);
  if (!isThere) return `needs the Debian packages qemu-user-static ${packages}`;
  return { arch, argv: [program, '-L', sysroot, executable], isEmulated: true };
}
