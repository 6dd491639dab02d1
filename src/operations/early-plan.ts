/**
 * The plan made when a package has been verified: it tells early what would be refused, and is the plan of the install where the
 * device is the same by then (half of the work of thousands of files). It is used once, in the process that made it, for the
 * bytes that it was made of (their seal), while all that the survey looked at stands as it stood (deploy/witness.ts) and nothing
 * was installed since. Any doubt plans anew.
 */
import { currentRecord } from '../deploy/current-record.ts';
import { installedVersion } from '../deploy/installed-version.ts';
import { latestId } from '../deploy/past-updates.ts';
import { checkNeeds, type Need } from '../deploy/space.ts';
import { openWitness, type Witness } from '../deploy/witness.ts';
import { isSamePackage, type PackageRequest, packagePath } from '../download/request.ts';
import type { Files, Host, Log } from '../host/host.ts';
import type { Notes } from '../notes.ts';
import { openArchive } from '../package/archive.ts';
import { loadPacking, type PackedList } from '../packed-list.ts';
import type { Seal } from '../seal.ts';
import type { Settings } from '../settings.ts';
import { checkNoDowngrade } from './fit.ts';
import { type LookingHost, type PlannedInstall, plannedInstall, prepareInstall } from './prepare.ts';

export interface EarlyPlan {
  readonly request: PackageRequest;
  readonly seal: Seal;
  readonly planned: PlannedInstall;
  readonly witness: Witness;
  readonly needs: readonly Need[];
  readonly past: Past;
  /** For the log of the install. */
  readonly said: PackedList<Said>;
}

/** What tells that nothing was installed, taken back or removed meanwhile. */
interface Past {
  readonly latest: string | undefined;
  readonly record: string | undefined;
  readonly installed: string | undefined;
}

interface Said {
  readonly level: 'info' | 'warn';
  readonly text: string;
}

/** The package that was just verified. */
export interface VerifiedRequest {
  readonly request: PackageRequest;
  readonly seal: Seal;
  readonly mayDowngrade: () => boolean;
}

/**
 * Looks whether the verified package in `directory` can be installed on this device now: throws what an install would be refused
 * with, and DOWNGRADE_REFUSED unless `mayDowngrade`. Changes nothing. Gives the plan, where it can be of use later, and the
 * release notes.
 */
export async function planEarly(
  host: LookingHost,
  settings: Settings,
  backupDirectory: string,
  directory: string,
  { request, seal, mayDowngrade }: VerifiedRequest,
): Promise<{ readonly early: EarlyPlan | undefined; readonly notes: Notes | undefined }> {
  const witness = await openWitness(host);
  const said = (await loadPacking()).list<Said>();
  const past = await pastOf(host.files, backupDirectory);
  const archive = await openArchive(host, packagePath(directory, request.package_name));
  try {
    const asked = { version: request.version, action: null };
    const quiet = { ...host, log: noting(host.log, said) };
    const prepared = await prepareInstall(quiet, settings, backupDirectory, archive, asked, witness.files);
    if (!mayDowngrade()) checkNoDowngrade(request.version, prepared.plan.previousVersion ?? undefined);
    const { notes } = prepared.release;
    // Whether the updater itself may be replaced is a matter of the moment.
    if (prepared.plan.self !== undefined) return { early: undefined, notes };
    for (const warning of prepared.warnings) said.add({ level: 'warn', text: `manifest.json: ${warning}` });
    host.memory.trim();
    const planned = await plannedInstall(prepared, archive);
    const early = { request, seal, planned, witness, needs: prepared.needs, past, said };
    return { early, notes };
  } finally {
    await archive.close();
  }
}

/** The plan of an install that begins now, where `early` still holds. Throws DISK_FULL. `waiting`: what is installed, and who ordered it. */
export async function stillPlanned(
  { files, clock, log }: Pick<Host, 'files' | 'clock' | 'log'>,
  backupDirectory: string,
  early: EarlyPlan,
  waiting: {
    readonly request: PackageRequest;
    readonly seal: Seal | null;
    readonly action: string | null;
  },
): Promise<PlannedInstall | undefined> {
  const { request, seal, planned, witness, needs, past } = early;
  const isSame = isSamePackage(request, waiting.request) && seal.tag === waiting.seal?.tag;
  if (!isSame || request.version !== waiting.request.version) return undefined;
  const now = await pastOf(files, backupDirectory);
  if (now.latest !== past.latest || now.record !== past.record || now.installed !== past.installed)
    return undefined;
  const changed = await witness.change();
  if (changed !== undefined) {
    log.debug(`${changed} is not as it was when the package came: the install is planned anew`);
    return undefined;
  }
  if (!(await checkNeeds(files, needs))) return undefined;
  for (const { level, text } of early.said) log[level](text);
  const { action } = waiting;
  const plan = { ...planned.plan, startedMs: clock.now(), ...(action === null ? {} : { action }) };
  return { ...planned, plan };
}

async function pastOf(files: Files, backupDirectory: string): Promise<Past> {
  return {
    latest: await latestId(files, backupDirectory),
    record: await currentRecord(files, backupDirectory),
    installed: await installedVersion(files, backupDirectory),
  };
}

/** The log of a look that nobody asked for: what it would say is for the install to say. */
function noting({ debug, error }: Log, said: PackedList<Said>): Log {
  const note = (level: Said['level']) => (text: string) => {
    debug(text);
    said.add({ level, text });
  };
  return { debug, error, info: note('info'), warn: note('warn') };
}
