/** The doctor on the probation of a new updater (deploy/launch.sh): whether one has to prove itself, and how it does. */
import { join } from 'node:path';
import { readWhole } from '../host/durable-file.ts';
import type { Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { checkOf, type Finding } from './finding.ts';

/** `directories`: where the executable may lie. Nothing is said where there is no probation. */
export async function probationChecks(files: Files, directories: readonly string[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const directory of new Set(directories)) {
    const bytes = await readWhole(files, join(directory, 'probation'), limits.probationBytes);
    if (bytes === undefined) continue;
    const previous = join(directory, 'tope-updater.previous');
    findings.push(
      judge(
        Buffer.from(bytes).toString('latin1'),
        (await files.stat(previous)) === undefined ? undefined : previous,
      ),
    );
  }
  return findings;
}

function judge(text: string, previous: string | undefined): Finding {
  const check = checkOf('probation');
  const lines = text.split('\n').filter((line) => line !== '');
  const starts = lines.filter(
    (line) => line !== 'committed' && line !== 'ended' && !line.startsWith('update '),
  );
  const minutes = limits.probationMs / 60_000;
  const state = lines.includes('committed')
    ? `has committed itself and stays after ${minutes} minutes of uptime`
    : 'has not proven itself yet';
  const found = `a new updater ${state}; ${starts.length} starts`;
  if (previous === undefined)
    return check.warn(
      `${found}; the one before is gone`,
      'nothing can be put back where it fails: watch it, or run install.sh again',
    );
  // Its third start after two that nobody had asked to end.
  if (starts.length < 3 || lines.includes('committed')) return check.ok(found);
  return check.warn(
    `${found}; ${previous} comes back after three that failed`,
    'logs/updater.log and the journal of the unit say why it ends',
  );
}
