/** What an update deploys becomes the record that a later audit compares with (deploy/deployed-record.ts). */
import { type DeployedDirectory, type RecordLine, writeRecord } from '../deploy/deployed-record.ts';
import type { Fingerprint } from '../deploy/fingerprint.ts';
import { type Plan, putSteps } from '../deploy/plan.ts';
import type { Survey } from '../deploy/survey.ts';
import type { PackageRequest } from '../download/request.ts';
import { asUpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import type { WriteGroup } from '../host/write-group.ts';
import type { Release } from '../release.ts';

/** What an update deploys, beside its plan. */
export interface Deployed {
  readonly release: Release;
  readonly survey: Survey;
  readonly request: PackageRequest;
  /** Of the package's entries, by name; staging has checked that of each entry that it unpacked. */
  readonly crc32Of: ReadonlyMap<string, number>;
}

/**
 * To be called while the plan is staged and every directory stands. `fingerprints`: of each staged file, by its target. Throws
 * DEPLOYMENT_FAILED or DISK_FULL: an update that cannot be remembered is not made.
 */
export async function rememberDeployed(
  host: Pick<Host, 'files'>,
  backupDirectory: string,
  plan: Plan,
  from: Deployed,
  fingerprints: ReadonlyMap<string, Fingerprint>,
  group: WriteGroup,
): Promise<void> {
  const { release, survey, request, crc32Of } = from;
  const modules = release.modules.map((module): RecordLine => {
    const tree = module.isTree ? (survey.moduleRoots.get(module.name) ?? module.target) : null;
    const { name, service, commands } = module;
    return { kind: 'module', name, id: plan.id, tree, service, ...(commands && { commands }) };
  });
  const files = putSteps(plan).map(({ module, target, source, sizeBytes, mode, uid, gid }): RecordLine => {
    const fingerprint = fingerprints.get(target);
    if (fingerprint === undefined) throw new Error(`${target} was not staged`);
    const crc32 = crc32Of.get(source);
    if (crc32 === undefined) throw new Error(`${source} is no entry of the package`);
    const content = { entry: source, sizeBytes, crc32, ...fingerprint };
    return { kind: 'file', module, path: target, mode, uid, gid, ...content };
  });
  const header = {
    kind: 'header',
    format: 3,
    id: plan.id,
    version: release.version,
    package: {
      sizeBytes: request.package_size,
      md5: request.package_md5,
      sha256: request.package_sha256 ?? null,
    },
  } as const;
  try {
    const directories = await directoriesOf(host.files, survey);
    await writeRecord(host.files, backupDirectory, header, [...modules, ...directories, ...files], group);
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'writing the record of what is deployed');
  }
}

/** The directories of the trees as they stand: what a repair makes again where they are missing. */
async function directoriesOf(files: Files, { wants }: Survey): Promise<DeployedDirectory[]> {
  const found: DeployedDirectory[] = [];
  for (const want of wants) {
    if (want.kind !== 'directory') continue;
    const stat = await files.stat(want.target);
    if (stat === undefined) continue;
    const { mode, uid, gid } = stat;
    found.push({ kind: 'directory', module: want.module, path: want.target, mode, uid, gid });
  }
  return found;
}
