/**
 * Installing a package: what the manifest says becomes a plan, the plan a transaction.
 *
 * Nothing on the device changes before the plan is made and everything the package says has been checked; the package's
 * own digest is checked in the same read that fills the staged files, before anything is switched (FR-001b).
 */
import { latestId } from '../deploy/past-updates.ts';
import { makePlan, nextId, type Owner, type Plan, putSteps } from '../deploy/plan.ts';
import { createStager } from '../deploy/stage.ts';
import { checkPlanFits, type Survey, surveyRelease } from '../deploy/survey.ts';
import { asUpdateError, UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { type Archive, openArchive } from '../package/archive.ts';
import { newDigest } from '../package/digest.ts';
import { readRelease } from '../package/read-release.ts';
import type { PackageRequest } from '../package/request.ts';
import type { Release } from '../release.ts';
import { checkFit } from './fit.ts';
import { installedVersion, readHistory } from './history.ts';
import { rememberDeployed } from './remember.ts';
import type { Settings } from './settings.ts';
import { runTransaction } from './transaction.ts';
import type { Outcome, TransactionContext } from './transaction-context.ts';

/** Installs the verified package at `path`. Throws an UpdateError where nothing was begun; else see Outcome. */
export async function installPackage(
  context: TransactionContext,
  settings: Settings,
  request: PackageRequest,
  path: string,
): Promise<Outcome> {
  const { host } = context;
  const archive = await openArchive(host, path);
  try {
    const { release, warnings } = await readRelease(
      archive,
      {
        expectedVersion: request.version,
        allowedRoots: settings.allowedRoots,
        workDirectory: settings.workDirectory,
      },
      settings.trustedKeys,
    );
    for (const warning of warnings) host.log.warn(`manifest.json: ${warning}`);
    const installed = installedVersion(await readHistory(host.files, context.backupDirectory));
    checkFit(release, settings.deviceType, installed);
    const { plan, survey } = await planRelease(context, settings, release, installed);
    host.memory.trim();
    return await runTransaction(context, plan, async () => {
      const sha256 = await stagePackage(context, plan, archive, request);
      const from = { release, survey, request };
      await rememberDeployed(host, context.backupDirectory, plan, from, sha256);
    });
  } finally {
    await archive.close();
  }
}

async function planRelease(
  context: TransactionContext,
  settings: Settings,
  release: Release,
  installed: string | undefined,
): Promise<{ plan: Plan; survey: Survey }> {
  const { host, backupDirectory } = context;
  try {
    const self = await ownerOfUpdater(host.files, backupDirectory);
    const survey = await surveyRelease(host, release, settings, self);
    const startedMs = host.clock.now();
    const plan = makePlan(
      {
        id: nextId(startedMs, await latestId(host.files, backupDirectory)),
        kind: 'update',
        version: release.version,
        previousVersion: installed ?? null,
        startedMs,
        modules: release.modules.map((module) => module.name),
        services: release.modules.map((module) => module.service),
        reboot: release.reboot,
        consumes: [],
        backupDirectory,
        moduleRoots: survey.moduleRoots,
      },
      survey.wants,
      survey.facts,
    );
    await checkPlanFits(host.files, plan, survey.facts, backupDirectory);
    return { plan, survey };
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'looking at the targets');
  }
}

type PackageDigests = Pick<PackageRequest, 'package_md5' | 'package_sha256'>;

/** Fills the staged files from the package, and gives the SHA-256 of each by its target. */
async function stagePackage(
  context: TransactionContext,
  plan: Plan,
  archive: Archive,
  request: PackageDigests,
): Promise<ReadonlyMap<string, string>> {
  const stager = createStager(context.host, plan);
  const moduleOf = new Map(putSteps(plan).map((step) => [step.source, step.module]));
  const totalBytes = archive.sizeBytes;
  let module: string | undefined;
  // One digest tells whether these are the bytes that were verified: the stronger one where both are known.
  const sha256 = request.package_sha256;
  const [name, expected] =
    sha256 === undefined ? (['md5', request.package_md5] as const) : (['sha256', sha256] as const);
  const digest = await newDigest(context.host.memory, name, totalBytes);
  try {
    await archive.extract({
      wanted: stager.sources,
      open: (entry) => {
        module = moduleOf.get(entry.name);
        return stager.open(entry.name);
      },
      digest,
      onBytes: (bytes) =>
        context.progress((90 * bytes) / totalBytes, 'unpacking', { bytes, totalBytes, module }),
      signal: AbortSignal.any([context.cancel, context.shutdown]),
    });
    const found = await digest.finish();
    if (found !== expected) {
      throw new UpdateError(
        name === 'md5' ? 'MD5_MISMATCH' : 'SHA256_MISMATCH',
        `the package changed on the disk: ${expected} expected, ${found} found`,
      );
    }
    return stager.sha256;
  } finally {
    digest.abort();
    await stager.close();
  }
}

/** New files belong to whoever runs the updater: backups/ was made by it. */
export async function ownerOfUpdater(files: Files, backupDirectory: string): Promise<Owner> {
  const stat = await files.stat(backupDirectory);
  if (stat === undefined) throw new UpdateError('DEPLOYMENT_FAILED', `${backupDirectory} is gone`);
  return { uid: stat.uid, gid: stat.gid };
}
