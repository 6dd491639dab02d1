/** Whether an update fits this device: its type, and the version that runs on it. Pure. */
import { UpdateError } from '../errors.ts';
import type { Release } from '../release.ts';
import { compareVersions } from '../version.ts';

/** Throws INCOMPATIBLE where the manifest names other device types, or a newer installed version; without any, every `min_version` fits. */
export function checkFit(
  release: Release,
  deviceType: string | undefined,
  installed: string | undefined,
): void {
  const { compatible, minVersion } = release;
  if (compatible !== undefined && (deviceType === undefined || !compatible.includes(deviceType))) {
    const own =
      deviceType === undefined
        ? 'this device has no device_type configured'
        : `this device is "${deviceType}"`;
    throw new UpdateError(
      'INCOMPATIBLE',
      `the package is for ${compatible.map((type) => `"${type}"`).join(', ')}; ${own}`,
    );
  }
  if (minVersion !== undefined && installed !== undefined && compareVersions(installed, minVersion) < 0) {
    throw new UpdateError(
      'INCOMPATIBLE',
      `the package needs version ${minVersion} or newer, ${installed} is installed`,
    );
  }
}

/** Throws INCOMPATIBLE where a unit is to be enabled: nothing could do it, and nothing would start it. */
export function checkEnables({ modules }: Release, hasSystemd: boolean): void {
  if (hasSystemd) return;
  const enabling = modules.find(({ service }) => service.enable === true);
  if (enabling === undefined) return;
  const { name, service } = enabling;
  throw new UpdateError(
    'INCOMPATIBLE',
    `module "${name}" enables ${service.unit}, but systemd does not run on this device: a plain program is named by process_name and start`,
  );
}

/** Throws DOWNGRADE_REFUSED where `version` is lower than the installed one. */
export function checkNoDowngrade(version: string, installed: string | undefined): void {
  if (installed === undefined || compareVersions(version, installed) >= 0) return;
  throw new UpdateError(
    'DOWNGRADE_REFUSED',
    `${version} is lower than the installed ${installed}; send "allow_downgrade": true to install it all the same`,
  );
}
