/** What an update deploys becomes the record that a later audit compares with (deploy/deployed-record.ts). */
import {
  type DeployedDirectory,
  type DeployedFile,
  type DeployedLink,
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
import type { Release, WhenThere } from '../release.ts';

/** What an update deploys, beside its plan: as little as that, for it is held while thousands of files are unpacked. */
export interface Deployed {
  readonly version: string;
  readonly modules: readonly Omit<DeployedModule, 'id'>[];
  readonly directories: readonly { readonly module: string; readonly target: string }[];
  /** Targets that people edit, and those that are only deployed where there is none. */
  readonly config: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
  /** Of files whose bytes stood there already, and of such links: they may have no step. */
  readonly standing: readonly (DeployedFile | DeployedLink)[];
}

/** What the package brings, and the digests of what was staged. */
export interface Staged {
  readonly request: PackageRequest;
  /** Of the package's entries, by name; staging has checked that of each entry that it unpacked. */
  readonly crc32Of: ReadonlyMap<string, number>;
  /** Of each staged file, by its target. */
  readonly fingerprints: ReadonlyMap<string, Fingerprint>;
}

export function deployedOf(release: Release, { wants, facts, moduleRoots }: Survey): Deployed {
  const files = wants.filter((want) => want.kind === 'file');
  const targetsOf = (whenThere: WhenThere) =>
    new Set(files.flatMap((want) => (want.whenThere === whenThere ? [want.target] : [])));
  return {
    config: targetsOf('config'),
    kept: targetsOf('keep'),
    standing: files.flatMap((want): (DeployedFile | DeployedLink)[] => {
      const { stands, module, target, source, sizeBytes, sha256, link } = want;
      const found = stands ? facts.found.get(target) : undefined;
      if (found === undefined) return [];
      const { mode, uid, gid } = found;
      if (link !== undefined) return [{ kind: 'link', module, path: target, to: link, uid, gid }];
      if (sha256 === undefined) return [];
      return [{ kind: 'file', module, path: target, entry: source, sizeBytes, mode, uid, gid, sha256 }];
    }),
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
  { modules, config, kept, standing }: Deployed,
  directories: readonly DeployedDirectory[],
  { crc32Of, fingerprints }: Staged,
): Generator<RecordLine> {
  for (const module of modules) yield { ...module, id: plan.id };
  yield* directories;
  const isPut = new Set<string>();
  const crc32 = (entry: string) => {
    const found = crc32Of.get(entry);
    if (found === undefined) throw new Error(`${entry} is no entry of the package`);
    return found;
  };
  const ofConfig = (path: string) => (config.has(path) ? { isConfig: true as const } : {});
  for (const step of plan.steps) {
    if (step.kind !== 'put') continue;
    const { module, target, source, sizeBytes, mode, uid, gid } = step;
    isPut.add(target);
    // What is only kept belongs to whoever edits it: no audit and no repair has to do with it.
    if (kept.has(target)) continue;
    if (step.link !== undefined) {
      yield { kind: 'link', module, path: target, to: step.link, ...ofConfig(target), uid, gid };
      continue;
    }
    const fingerprint = fingerprints.get(target);
    if (fingerprint === undefined) throw new Error(`${target} was not staged`);
    const content = { entry: source, sizeBytes, crc32: crc32(source), ...fingerprint, ...ofConfig(target) };
    yield { kind: 'file', module, path: target, mode, uid, gid, ...content };
  }
  for (const line of standing) {
    if (isPut.has(line.path)) continue;
    const bytes = line.kind === 'file' ? { crc32: crc32(line.entry) } : {};
    yield { ...line, ...bytes, ...ofConfig(line.path) };
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
