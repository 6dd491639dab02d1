/** What an update deploys becomes the record that a later audit compares with (deploy/deployed-record.ts). */
import {
  type DeployedDirectory,
  type DeployedModule,
  type RecordLine,
  writeRecord,
} from '../deploy/deployed-record.ts';
import type { Fingerprint } from '../deploy/fingerprint.ts';
import type { Plan } from '../deploy/plan.ts';
import type { Survey } from '../deploy/survey.ts';
import type { PackageRequest } from '../download/request.ts';
import { asUpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import type { WriteGroup } from '../host/write-group.ts';
import type { Release } from '../release.ts';

/** What an update deploys, beside its plan: as little as that, for it is held while thousands of files are unpacked. */
export interface Deployed {
  readonly version: string;
  readonly modules: readonly Omit<DeployedModule, 'id'>[];
  readonly directories: readonly { readonly module: string; readonly target: string }[];
}

/** What the package brings, and the digests of what was staged. */
export interface Staged {
  readonly request: PackageRequest;
  /** Of the package's entries, by name; staging has checked that of each entry that it unpacked. */
  readonly crc32Of: ReadonlyMap<string, number>;
  /** Of each staged file, by its target. */
  readonly fingerprints: ReadonlyMap<string, Fingerprint>;
}

export function deployedOf(release: Release, { wants, moduleRoots }: Survey): Deployed {
  return {
    version: release.version,
    modules: release.modules.map(({ name, isTree, target, service, commands }) => {
      const tree = isTree ? (moduleRoots.get(name) ?? target) : null;
      return { kind: 'module', name, tree, service, ...(commands && { commands }) };
    }),
    directories: wants.flatMap(({ kind, module, target }) =>
      kind === 'directory' ? [{ module, target }] : [],
    ),
  };
}

/**
 * To be called while the plan is staged and every directory stands. Throws DEPLOYMENT_FAILED or DISK_FULL: an update that
 * cannot be remembered is not made.
 */
export async function rememberDeployed(
  host: Pick<Host, 'files'>,
  backupDirectory: string,
  plan: Plan,
  deployed: Deployed,
  staged: Staged,
  group: WriteGroup,
): Promise<void> {
  const { request } = staged;
  const header = {
    kind: 'header',
    format: 3,
    id: plan.id,
    version: deployed.version,
    package: {
      sizeBytes: request.package_size,
      md5: request.package_md5,
      sha256: request.package_sha256 ?? null,
    },
  } as const;
  try {
    const directories = await directoriesOf(host.files, deployed);
    const lines = { [Symbol.iterator]: () => linesOf(plan, deployed, directories, staged) };
    await writeRecord(host.files, backupDirectory, header, lines, group);
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'writing the record of what is deployed');
  }
}

/** One line at a time: those of thousands of files would take as much again as their plan. */
function* linesOf(
  plan: Plan,
  { modules }: Deployed,
  directories: readonly DeployedDirectory[],
  { crc32Of, fingerprints }: Staged,
): Generator<RecordLine> {
  for (const module of modules) yield { ...module, id: plan.id };
  yield* directories;
  for (const step of plan.steps) {
    if (step.kind !== 'put') continue;
    const { module, target, source, sizeBytes, mode, uid, gid } = step;
    const fingerprint = fingerprints.get(target);
    if (fingerprint === undefined) throw new Error(`${target} was not staged`);
    const crc32 = crc32Of.get(source);
    if (crc32 === undefined) throw new Error(`${source} is no entry of the package`);
    const content = { entry: source, sizeBytes, crc32, ...fingerprint };
    yield { kind: 'file', module, path: target, mode, uid, gid, ...content };
  }
}

/** The directories of the trees as they stand: what a repair makes again where they are missing. */
async function directoriesOf(files: Files, { directories }: Deployed): Promise<DeployedDirectory[]> {
  const found: DeployedDirectory[] = [];
  for (const { module, target } of directories) {
    const stat = await files.stat(target);
    if (stat === undefined) continue;
    const { mode, uid, gid } = stat;
    found.push({ kind: 'directory', module, path: target, mode, uid, gid });
  }
  return found;
}
