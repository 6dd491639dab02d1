/** The doctor on the program itself: whether its Node still gets fixes, who else could change it, how a new one proves itself. */
import { join } from 'node:path';
import { readWhole } from '../host/durable-file.ts';
import type { Files } from '../host/host.ts';
import { strangerAt } from '../host/trust.ts';
import { limits } from '../limits.ts';
import { endOfSupport } from '../node-support.ts';
import { checkOf, type Finding } from './finding.ts';

/** `version`: `x.y.z`. `isSigned`: packages need a signature; else an old list of authorities is all between a foreign package and root. */
export function runtimeCheck(version: string, isSigned: boolean, nowMs: number): Finding {
  const check = checkOf('runtime');
  const ended = endOfSupport(version, nowMs);
  if (ended === undefined) return check.ok(`Node ${version}`);
  const found = `Node ${version}, which gets no security fixes since ${ended}`;
  if (isSigned) return check.ok(`${found}; packages must be signed`);
  return check.warn(
    `${found}, and packages need no signature`,
    'trust packages by their signature (--trust-key), or take an executable with a newer Node',
  );
}

/** `paths`: absolute; those that are not there say nothing. */
export async function trustCheck(paths: readonly string[]): Promise<Finding> {
  const check = checkOf('ownership');
  const strangers = new Set<string>();
  for (const path of paths) {
    const stranger = await strangerAt(path);
    if (stranger !== undefined) strangers.add(stranger);
  }
  if (strangers.size === 0) return check.ok('nobody but root can change the updater');
  return check.warn(
    [...strangers].join('; '),
    'whoever that is can become root through the updater: chown it to root and take the permission away',
  );
}

/** A probation (deploy/launch.sh). `directories`: where the executable may lie. Nothing is said where there is no probation. */
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
