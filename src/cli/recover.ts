/** `tope-updater recover`: at boot, before any service of the device (deploy/tope-updater-recover.service, the init script). */

import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorText } from '../errors.ts';
import { realClock } from '../host/clock.ts';
import { realFiles } from '../host/files.ts';
import { lockDirectory } from '../host/lock.ts';
import { openLog } from '../host/log.ts';
import { recoverFiles } from '../updater/recover-files.ts';
import type { CommandInvocation } from './arguments.ts';
import { CommandError } from './failure.ts';
import { loadConfig } from './load-config.ts';
import { findOwnExecutable } from './own-executable.ts';

/** Resolves with 0 where the set of files is whole: all old or all new. Throws where it could not be made so. */
export async function recover({ flags }: CommandInvocation): Promise<number> {
  const config = await loadConfig(flags);
  const workDirectory = await realpath(resolve(config.dir));
  if (!(await lockDirectory(workDirectory))) {
    process.stdout.write(`an updater works in ${workDirectory}: it recovers by itself\n`);
    return 0;
  }
  const directory = join(workDirectory, 'logs');
  const log = await openLog({
    directory,
    level: config.log_level,
    format: config.log_format,
    stdout: process.stdout,
  });
  try {
    const files = realFiles();
    const executable = await findOwnExecutable(files, {
      serving: () => Promise.resolve(),
      end: () => undefined,
    });
    await recoverFiles({ files, clock: realClock(), log }, workDirectory, executable);
    return 0;
  } catch (thrown) {
    log.error(`recovering before the services start: ${errorText(thrown)}`);
    throw new CommandError('the files of an update that was cut could not be made whole');
  } finally {
    await log.close();
  }
}
