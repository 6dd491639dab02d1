/**
 * Installing a package: what the manifest says becomes a plan, the plan a transaction. Nothing changes before all of it has been
 * checked; the seal is compared in the same read that fills the staged files, before anything is switched (FR-001b).
 */
import type { Plan } from '../deploy/plan.ts';
import { createStager, type Stager } from '../deploy/stage.ts';
import { type PackageRequest, packagePath } from '../download/request.ts';
import { hashPackage } from '../download/verify.ts';
import { UpdateError } from '../errors.ts';
import type { Files, Host, Memory } from '../host/host.ts';
import { StuckError, watched } from '../host/watchdog.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { type Archive, openArchive } from '../package/archive.ts';
import { newSealing, type Seal } from '../seal.ts';
import type { Settings } from '../settings.ts';
import { type EarlyPlan, stillPlanned } from './early-plan.ts';
import { lastServices } from './past-services.ts';
import { prepared } from './preparation.ts';
import { type PlannedInstall, plannedInstall, prepareInstall } from './prepare.ts';
import { rememberDeployed } from './remember.ts';
import { runTransaction } from './transaction.ts';
import type { Outcome, TransactionContext } from './transaction-context.ts';

/** The package that waits, and the fleet's order that brought it. */
export interface Waiting {
  readonly request: PackageRequest;
  readonly seal: Seal | null;
  readonly action: string | null;
}

/** Where a package lies: on the device for the daemon, on the machine that makes an image for a device's tree. */
export interface PackagePlace {
  readonly files: Files;
  readonly path: string;
}

/** The place of a downloaded package. */
export function downloadedAt({ files }: Pick<Host, 'files'>, directory: string, name: string): PackagePlace {
  return { files, path: packagePath(directory, name) };
}

/** Installs a verified package; `early`: the plan that was made when it came. Throws an UpdateError where nothing was begun; else see Outcome. */
export async function installPackage(
  context: TransactionContext,
  settings: Settings,
  place: PackagePlace,
  waiting: Waiting,
  early?: EarlyPlan,
): Promise<Outcome> {
  const { host, backupDirectory } = context;
  const { request, seal } = waiting;
  const planned = early && (await stillPlanned(host, backupDirectory, early, waiting));
  const archive = await openArchive(
    { files: place.files, memory: host.memory },
    place.path,
    planned?.listing,
  );
  try {
    const planning = () => planNow(context, settings, archive, waiting);
    const { plan, deployed } = planned ?? (await prepared(host.clock, 'planning the install', planning));
    host.memory.trim();
    return await runTransaction(
      context,
      plan,
      async (group) => {
        const staged = await stagePackage(context, plan, group, archive, { request, place, seal });
        await rememberDeployed(host, backupDirectory, plan, deployed, { request, ...staged }, group);
      },
      { known: await lastServices(host, backupDirectory) },
    );
  } finally {
    await archive.close();
  }
}

async function planNow(
  { host, backupDirectory }: TransactionContext,
  settings: Settings,
  archive: Archive,
  { request, action }: Waiting,
): Promise<PlannedInstall> {
  const asked = { version: request.version, action };
  const prepared = await prepareInstall(host, settings, backupDirectory, archive, asked);
  for (const warning of prepared.warnings) host.log.warn(`manifest.json: ${warning}`);
  return plannedInstall(prepared, archive);
}

interface StoredPackage {
  readonly request: PackageRequest;
  readonly place: PackagePlace;
  readonly seal: Seal | null;
}

/** Fills the staged files from the package; what it gives is the stager's. */
async function stagePackage(
  context: TransactionContext,
  plan: Plan,
  group: WriteGroup,
  archive: Archive,
  stored: StoredPackage,
): Promise<Pick<Stager, 'fingerprints' | 'unheld'>> {
  const { host } = context;
  const sealFromBytes = context.isImage === true ? Number.POSITIVE_INFINITY : limits.sealFromBytes;
  const stager = await createStager(host, plan, group, sealFromBytes);
  const totalBytes = archive.sizeBytes;
  let module: string | undefined;
  const signal = AbortSignal.any([context.cancel, context.shutdown]);
  const { key, tag } = stored.seal ?? (await checkDigest(host.memory, stored, signal));
  const sealing = await newSealing(key);
  const part = () => (module === undefined ? 'reading the package' : `staging ${module}`);
  let isStuck = false;
  try {
    await watched(host.clock, { boundMs: limits.stageStuckMs, part, signal }, async (stage) => {
      await archive.extract({
        wanted: stager.sources,
        open: (entry) => {
          module = stager.moduleOf(entry.name);
          stage.alive();
          return stager.open(entry.name);
        },
        takeMany: (entries) => {
          module = stager.moduleOf(entries[0]?.entry.name ?? '');
          stage.alive();
          return stager.putMany(entries.map(({ entry, content }) => ({ source: entry.name, content })));
        },
        digest: sealing,
        onBytes: (bytes) => {
          stage.alive();
          context.progress((90 * bytes) / totalBytes, 'unpacking', { bytes, totalBytes, module });
        },
        signal: stage.signal,
      });
      // Small files are still on their way to the disk.
      await group.written();
    }).catch((thrown: unknown) => {
      if (!(thrown instanceof StuckError)) throw thrown;
      isStuck = true;
      group.abandon();
      throw new UpdateError('DEPLOYMENT_FAILED', thrown.message);
    });
    if (sealing.finish().tag !== tag) {
      await checkDigest(host.memory, stored, signal);
      throw new UpdateError(
        'DEPLOYMENT_FAILED',
        `${stored.place.path} gave other bytes in two readings: is the disk failing?`,
      );
    }
    return stager;
  } finally {
    // What is stuck is left behind: waiting for it would be the same again.
    if (!isStuck) await stager.close();
  }
}

/** Reads the package apart from its unpacking, for an error with both values where it is another one, or for a new seal. */
async function checkDigest(
  memory: Memory,
  { request, place: { files, path } }: StoredPackage,
  signal: AbortSignal,
): Promise<Seal> {
  const { package_md5: md5, package_sha256: sha256 } = request;
  const found = await hashPackage({ files, memory }, path, sha256 !== undefined, signal);
  const [code, expected, actual] =
    sha256 === undefined
      ? (['MD5_MISMATCH', md5, found.md5] as const)
      : (['SHA256_MISMATCH', sha256, found.sha256] as const);
  if (actual !== expected)
    throw new UpdateError(code, `the package changed on the disk: ${expected} expected, ${actual} found`);
  return found.seal;
}
