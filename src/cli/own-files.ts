/** What the updater itself consists of, wherever it lies: names that no package may touch, as the device could not be updated again. */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { owningUnit } from '../services/proc-text.ts';

/** In the executable's directory: the launcher, what it reads (deploy/launch.sh), and the way to the journal (journal-link.ts). */
const besides = ['tope-updater-launch', 'tope-updater.previous', 'probation', 'journal'];

/** Absolute paths, of files that need not be there and of directories of which nothing may be touched. */
export async function ownPaths(config: Config, configPath: string | undefined): Promise<string[]> {
  const configured = configuredPaths(config, configPath);
  // Run by Node itself, the script is the program.
  const script = process.argv[1] ?? process.execPath;
  const { TOPE_UPDATER_EXECUTABLE: launched = '' } = process.env;
  const programs = [process.execPath, process.argv0, script, launched].filter((path) => path.includes('/'));
  return [
    ...new Set([
      ...[...programs, ...configured].map((path) => resolve(path)),
      ...programs.flatMap((path) => besides.map((name) => join(dirname(resolve(path)), name))),
      ...unitPaths(await ownUnit()),
      ...servicePaths,
    ]),
  ];
}

/** The same of a device that does not run, whose image is made: nothing of this process is in it. */
export function imagePaths(config: Config, configPath: string | undefined): string[] {
  const configured = configuredPaths(config, configPath).filter((path) => isAbsolute(path));
  return [...new Set([...configured, '/usr/bin/tope-updater', ...unitPaths(undefined), ...servicePaths])];
}

const servicePaths = ['/etc/init.d/tope-updater', '/etc/default/tope-updater'];

function configuredPaths(config: Config, configPath: string | undefined): string[] {
  const named = Object.entries(config).filter(([key]) => key.endsWith('_file'));
  return [configPath, ...named.map(([, path]) => path), ...config.trusted_keys].filter(
    (path) => typeof path === 'string',
  );
}

/** Where systemd looks for a unit (systemd.unit(5)), with the drop-ins and the link that starts it at boot. */
const unitFolders = ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'].map(
  (place) => `${place}/systemd/system`,
);

async function ownUnit(): Promise<string | undefined> {
  return owningUnit(await readFile('/proc/self/cgroup', 'utf8').catch(() => ''));
}

function unitPaths(own: string | undefined): string[] {
  const units = [own, 'tope-updater.service', 'tope-updater-recover.service'];
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
