/** The settings of the device whose image is made. Paths are the device's; only `--config`, `--trust-key` and the package are of this machine. */
import { isAbsolute, join, posix } from 'node:path';
import { type Config, type Flags, UsageError } from '../config.ts';
import { errno } from '../errors.ts';
import type { Files } from '../host/host.ts';
import type { TrustedKey } from '../package/signature.ts';
import type { Settings } from '../settings.ts';
import { textFlag } from './flags.ts';
import { loadConfig } from './load-config.ts';
import { imagePaths } from './own-files.ts';
import { usualWorkDirectory } from './target-rules.ts';
import { readTrustedKey } from './trusted-key.ts';

/** `root`: the tree; `files`: its port. Throws a UsageError that names the flag or the key. */
export async function imageSettings(flags: Flags, root: string, files: Files): Promise<Settings> {
  const config = await loadConfig(flags);
  // The daemon's own default is where it is started: for a device, where install.sh and the packages put it.
  const dir = config.dir === '.' ? usualWorkDirectory : config.dir;
  if (!isAbsolute(dir)) throw new UsageError(`dir: "${dir}" must be an absolute path of the device`);
  const configPath = textFlag(flags, 'config');
  return {
    workDirectory: await placeIn(files, posix.resolve(dir)),
    allowedRoots: config.allow_root,
    ownPaths: imagePaths(config, configPath && pathOnDevice(root, configPath)),
    trustedKeys: await Promise.all(config.trusted_keys.map((key) => keyOf(files, root, key))),
    deviceType: config.device_type,
    isImage: true,
    ...unused(config),
  };
}

/** The path without symlinks, also where the end of it is missing yet. */
async function placeIn(files: Files, path: string): Promise<string> {
  try {
    return await files.realPath(path);
  } catch (thrown) {
    if (errno(thrown) !== 'ENOENT') throw thrown;
    return posix.join(await placeIn(files, posix.dirname(path)), posix.basename(path));
  }
}

/** A configuration file of the tree itself has its place on the device. */
function pathOnDevice(root: string, path: string): string | undefined {
  const absolute = posix.resolve(path);
  return absolute.startsWith(`${root}/`) ? absolute.slice(root.length) : undefined;
}

/** The configuration names a key file by its path on the device; a flag may name one of this machine. */
async function keyOf(files: Files, root: string, key: string): Promise<TrustedKey> {
  const isInTree = isAbsolute(key) && (await files.stat(key)) !== undefined;
  return readTrustedKey(isInTree ? join(root, await files.realPath(key)) : key);
}

/** What only a daemon does with. */
function unused(config: Config) {
  return {
    allowHttp: config.allow_http,
    guiPath: config.gui,
    keepPackage: false,
    auditIntervalMs: undefined,
    bytesPerSecond: undefined,
    adaptiveDownload: false,
    networkWaitMs: 0,
    downloadDeadlineMs: undefined,
  };
}
