/**
 * Everything that is found out about a package before anything changes: manifest, signature, device type, versions, places,
 * names and room. Done when the download ends, so that what cannot be installed never waits; again at the install, where the
 * device may be another one by then (early-plan.ts).
 */
import { installedVersion } from '../deploy/installed-version.ts';
import { checkPlanLength } from '../deploy/journal-file.ts';
import { readLeaving } from '../deploy/leaving.ts';
import { makePlan } from '../deploy/make-plan.ts';
import { latestId } from '../deploy/past-updates.ts';
import type { Plan } from '../deploy/plan.ts';
import { type Recorded, readRecorded } from '../deploy/recorded.ts';
import { checkPlanFits, type Need } from '../deploy/space.ts';
import { openSteps } from '../deploy/step-list.ts';
import { type Survey, surveyRelease } from '../deploy/survey.ts';
import { nextId } from '../deploy/update-id.ts';
import { asUpdateError, UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { FileOwner, Files, Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Archive, Listing } from '../package/archive.ts';
import { readRelease } from '../package/read-release.ts';
import type { Release } from '../release.ts';
import { systemdRuns } from '../services/systemd.ts';
import type { Settings } from '../settings.ts';
import { commandsOfRelease, commandsPart, withDueCommands } from './commands.ts';
import { checkEnables, checkFit } from './fit.ts';
import { type Deployed, deployedOf } from './remember.ts';
import { markSelf, selfRuleOf } from './self-update.ts';
import { servicesOfInstall } from './service-changes.ts';

export type LookingHost = Pick<Host, 'files' | 'clock' | 'log' | 'memory'>;

/** What of the settings has a say in a plan. */
export type PlanningSettings = Pick<
  Settings,
  'workDirectory' | 'allowedRoots' | 'ownPaths' | 'executable' | 'trustedKeys' | 'deviceType' | 'isImage'
>;

export interface Prepared {
  readonly release: Release;
  readonly plan: Plan;
  readonly survey: Survey;
  readonly warnings: readonly string[];
  /** What was deployed before, and the room that the plan takes. */
  readonly recorded: Recorded;
  readonly needs: readonly Need[];
  /** Units can be restarted and enabled. */
  readonly hasSystemd: boolean;
}

/** Reads the release of an open package and plans its install. Throws an UpdateError; changes nothing. `targets`: the targets' port, if another. */
export async function prepareInstall(
  host: LookingHost,
  settings: PlanningSettings,
  backupDirectory: string,
  archive: Archive,
  { version, action }: { readonly version: string; readonly action: string | null },
  targets: Files = host.files,
): Promise<Prepared> {
  const { allowedRoots, workDirectory, trustedKeys } = settings;
  const rules = { expectedVersion: version, allowedRoots, workDirectory, self: selfRuleOf(settings) };
  const { release, warnings } = await readRelease(archive, rules, trustedKeys);
  host.memory.trim(); // before the largest part
  const installed = await installedVersion(host.files, backupDirectory);
  checkFit(release, settings.deviceType, installed);
  const hasSystemd = await systemdRuns(host.files);
  if (settings.isImage !== true) checkEnables(release, hasSystemd);
  const planned = await planRelease(host, settings, backupDirectory, release, { installed, action, targets });
  return { release, warnings, hasSystemd, ...planned };
}

async function planRelease(
  host: Pick<Host, 'files' | 'clock' | 'log'>,
  settings: PlanningSettings,
  backupDirectory: string,
  release: Release,
  {
    installed,
    action,
    targets,
  }: {
    readonly installed: string | undefined;
    readonly action: string | null;
    readonly targets: Files;
  },
): Promise<Pick<Prepared, 'plan' | 'survey' | 'recorded' | 'needs'>> {
  try {
    const self = await ownerOfUpdater(host.files, backupDirectory);
    const recorded = await readRecorded(host.files, backupDirectory);
    const leaving = await readLeaving(host, backupDirectory, release);
    const removed = leaving.modules.map(({ name }) => name);
    const looking = { ...host, files: targets };
    const survey = await surveyRelease(looking, release, settings, self, recorded, leaving);
    const made = await makePlan(
      {
        ...(await beginningOf(host, backupDirectory)),
        kind: 'update',
        version: release.version,
        previousVersion: installed ?? null,
        modules: release.modules.map((module) => module.name),
        ...(removed.length > 0 && { removed }),
        ...servicesOfInstall(release, recorded.modules, removed),
        reboot: release.reboot,
        ...commandsPart(commandsOfRelease(release, installed ?? null)),
        ...(action === null ? {} : { action }),
        ...(survey.beside.length > 0 && { beside: survey.beside.slice(0, limits.besideNames) }),
        ...(survey.notBeside.length > 0 && { notBeside: survey.notBeside.slice(0, limits.besideNames) }),
        moduleRoots: survey.moduleRoots,
      },
      breathing(survey.wants),
      survey.facts,
      await openSteps(),
    );
    const plan = await markSelf(await withDueCommands(made, recorded, survey.wants), settings.executable);
    await checkPlanLength(host, plan);
    const needs = await checkPlanFits(host.files, plan, survey.facts, backupDirectory);
    return { plan, survey, recorded, needs };
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'looking at the targets');
  }
}

/** What the plans of all operations begin with. */
export async function beginningOf({ files, clock }: Pick<Host, 'files' | 'clock'>, backupDirectory: string) {
  const startedMs = clock.now();
  const id = nextId(startedMs, await latestId(files, backupDirectory));
  return { id, startedMs, backupDirectory, consumes: [], moduleRoots: new Map<string, string>() };
}

/** New files belong to whoever runs the updater: backups/ was made by it. */
export async function ownerOfUpdater(files: Files, backupDirectory: string): Promise<FileOwner> {
  const stat = await files.stat(backupDirectory);
  if (stat === undefined) throw new UpdateError('DEPLOYMENT_FAILED', `${backupDirectory} is gone`);
  return { uid: stat.uid, gid: stat.gid };
}

/** What an install is made of once it is planned: the survey behind it takes more than half of the memory, and goes. */
export interface PlannedInstall {
  readonly plan: Plan;
  readonly deployed: Deployed;
  /** Of the package. */
  readonly listing: Listing;
}

export async function plannedInstall(
  { plan, release, survey, recorded }: Prepared,
  { sizeBytes, entries }: Archive,
): Promise<PlannedInstall> {
  const deployed = await deployedOf(release, survey, recorded, plan.removed ?? []);
  return { plan, deployed, listing: { sizeBytes, entries } };
}
