/**
 * What the updater itself consists of, wherever it lies: the names that no package may touch, as a device whose updater is
 * replaced by other bytes cannot be updated again.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { owningUnit } from '../services/proc-text.ts';

/** Absolute paths, of files that need not be there and of directories of which nothing may be touched. */
export async function ownPaths(config: Config, configPath: string | undefined): Promise<string[]> {
  const named = Object.entries(config).filter(([key]) => key.endsWith('_file'));
  const configured = [configPath, ...named.map(([, path]) => path), ...config.trusted_keys];
  // Run by Node itself, the script is the program.
  const script = process.argv[1] ?? process.execPath;
  const programs = [process.execPath, process.argv0, script].filter((path) => path.includes('/'));
  return [
    ...new Set([
      ...[...programs, ...configured.filter((path) => typeof path === 'string')].map((path) => resolve(path)),
      ...programs.map((path) => join(dirname(resolve(path)), 'tope-updater-launch')),
      ...(await unitPaths()),
      ...['/etc/init.d/tope-updater', '/etc/default/tope-updater'],
    ]),
  ];
}

/** Where systemd looks for a unit (systemd.unit(5)), with the drop-ins and the link that starts it at boot. */
const unitFolders = ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'].map(
  (place) => `${place}/systemd/system`,
);

async function unitPaths(): Promise<string[]> {
  const cgroup = await readFile('/proc/self/cgroup', 'utf8').catch(() => '');
  const units = [owningUnit(cgroup), 'tope-updater.service', 'tope-updater-recover.service'];
  return units.flatMap((unit) =>
    unit === undefined
      ? []
      : unitFolders.flatMap((folder) =>
          [unit, `${unit}.d`, `multi-user.target.wants/${unit}`, `sysinit.target.wants/${unit}`].map((name) =>
            join(folder, name),
          ),
        ),
  );
}
