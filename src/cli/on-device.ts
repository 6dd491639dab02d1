/** What a package would do on this device: planned as its daemon plans, by its settings and records. Reads only, and works while the daemon runs. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Flags } from '../config.ts';
import { asUpdateError, errno } from '../errors.ts';
import { realClock } from '../host/clock.ts';
import { realFiles } from '../host/files.ts';
import type { Log } from '../host/host.ts';
import { freeMemory } from '../host/memory.ts';
import { realProcesses } from '../host/processes.ts';
import { type Forecast, forecastOf } from '../operations/forecast.ts';
import { type PlanningSettings, prepareInstall } from '../operations/prepare.ts';
import { openArchive } from '../package/archive.ts';
import { type DoctorTarget, doctorTarget } from './doctor-target.ts';
import { CommandError } from './failure.ts';
import { findOwnExecutable } from './own-executable.ts';
import { ownPaths } from './own-files.ts';
import { readTrustedKey } from './trusted-key.ts';

const none = () => undefined;
const silent: Log = { debug: none, info: none, warn: none, error: none };

/** Those of the daemon that runs, else of the one that the flags describe. Throws a UsageError or a CommandError that names what cannot be read. */
export async function deviceRules(flags: Flags): Promise<PlanningSettings & Pick<DoctorTarget, 'elsewhere'>> {
  const processes = realProcesses();
  const { config, configPath, workDirectory, daemonPid, elsewhere } = await doctorTarget(flags, processes);
  await assertWorkDirectory(workDirectory, daemonPid !== undefined);
  const environ = daemonPid === undefined ? '' : ((await processes.read(daemonPid, 'environ')) ?? '');
  const environment = Object.fromEntries(
    environ
      .split('\0')
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
  const hooks = { serving: async () => undefined, end: none };
  return {
    workDirectory,
    elsewhere,
    allowedRoots: config.allow_root,
    ownPaths: await ownPaths(config, configPath),
    executable: await findOwnExecutable(realFiles(), hooks, environment),
    trustedKeys: await Promise.all(config.trusted_keys.map(readTrustedKey)),
    deviceType: config.device_type,
  };
}

/** Whoever has none must not be told that the device refuses something. */
async function assertWorkDirectory(path: string, daemonRuns: boolean): Promise<void> {
  const missing = (await isThere(path)) ? join(path, 'backups') : path;
  if (missing !== path && (await isThere(missing))) return;
  const who = daemonRuns ? '' : 'no daemon runs on this machine, and ';
  const what =
    missing === path ? 'does not exist' : 'is not the work directory of an updater (it has no backups/)';
  throw new CommandError(
    `${who}${path} ${what}; name the updater's with --dir, or its configuration file with --config`,
  );
}

/** What cannot be looked at may be there: who reads it will say so. */
async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (thrown: unknown) => errno(thrown) !== 'ENOENT' && errno(thrown) !== 'ENOTDIR',
  );
}

/** Throws what the device would refuse the package with, or DEPLOYMENT_FAILED naming what could not be read (its records are root's). */
export async function foreseeInstall(
  path: string,
  version: string,
  rules: PlanningSettings,
): Promise<Forecast> {
  const host = { files: realFiles(), clock: realClock(), log: silent, memory: freeMemory };
  const backups = join(rules.workDirectory, 'backups');
  const archive = await openArchive(host, path);
  try {
    return await forecastOf(await prepareInstall(host, rules, backups, archive, { version, action: null }));
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'looking at this device');
  } finally {
    await archive.close();
  }
}
