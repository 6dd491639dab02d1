/**
 * The device of device.ts with an updater that may replace itself, and a package that brings another one beside the other modules.
 */
import { chmod, copyFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { PackageRequest } from '../../src/download/request.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { arch, type NewUpdater, updatersIn } from '../fixtures/new-updaters.ts';
import { type Device, makeDevice, servePackage } from './device.ts';
import { launcherOf, type SupervisedPlace } from './supervised.ts';

export interface SelfDevice extends Device, SupervisedPlace {
  readonly kind: NewUpdater;
  /** Bytes of the executable that stands there first, and of the one that the package brings. */
  readonly updaters: { readonly old: Buffer; readonly new: Buffer };
}

const signer = newSigner(Buffer.alloc(32, 11));
export const oldVersion = '1.0.0';

/** Below `directory`; bundles of the executables, the socket and the boot's id lie in `scratch`. */
export async function makeSelfDevice(
  kind: NewUpdater,
  { directory, scratch, reportUrl }: { directory: string; scratch: string; reportUrl: string },
): Promise<SelfDevice> {
  const device = await makeDevice(directory, join(scratch, 'socket'));
  const updater = updatersIn(scratch);
  const updaters = { old: Buffer.from(updater(oldVersion)), new: Buffer.from(kind.make(updater)) };
  const place = {
    trustKey: signer.publicKey,
    reportUrl,
    bootIdFile: join(scratch, 'boot-id'),
    probationS: kind.probationS ?? 10,
  };
  await copyFile(resolve('deploy/launch.sh'), launcherOf(device));
  await chmod(launcherOf(device), 0o755);
  await writeFile(executableOf(device), updaters.old, { mode: 0o755 });
  return { ...device, ...place, kind, updaters };
}

/** The package of device.ts with the new updater in it, signed. */
export async function serveSelfPackage(
  device: SelfDevice,
  scratch: string,
): Promise<{ readonly request: PackageRequest; readonly close: () => void }> {
  return await servePackage(device, scratch, 'success', (spec) => ({
    ...spec,
    modules: [...spec.modules, { name: 'updater', src: 'updater', self: true }],
    files: {
      ...spec.files,
      'updater/': '',
      [`updater/tope-updater-${arch}`]: { content: device.updaters.new, mode: 0o755 },
    },
    withDigests: true,
    sign: (manifest) => signer.sign(manifest),
  }));
}

export function executableOf({ workDirectory }: Device): string {
  return join(workDirectory, 'tope-updater');
}
