/** What an update deploys becomes the record that a later audit compares with (deploy/deployed-record.ts). */
import { accessList, capability } from '../attribute-kinds.ts';
import {
  type DeployedDirectory,
  type DeployedFile,
  type DeployedLink,
  type DeployedModule,
  type RecordLine,
  writeRecord,
} from '../deploy/deployed-record.ts';
import type { Found } from '../deploy/findings.ts';
import type { Fingerprint } from '../deploy/fingerprint.ts';
import { isLeftAlone } from '../deploy/make-plan.ts';
import { directorySteps, type Plan, putSteps } from '../deploy/plan.ts';
import { type EncodedLines, openEncodedLines } from '../deploy/record-line.ts';
import type { Recorded } from '../deploy/recorded.ts';
import type { Survey } from '../deploy/survey.ts';
import type { FileWant } from '../deploy/want.ts';
import type { PackageRequest } from '../download/request.ts';
import { asUpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Attributes, Files, Host } from '../host/host.ts';
import type { WriteGroup } from '../host/write-group.ts';
import type { Release } from '../release.ts';

/** What an update deploys, beside its plan: as little as that, for it is held while thousands of files are unpacked. */
export interface Deployed extends Pick<Release, 'version' | 'notes'> {
  readonly modules: readonly Omit<DeployedModule, 'id'>[];
  readonly directories: readonly { readonly module: string; readonly target: string }[];
  /** Targets that people edit, those of them that are put beside an edited one, and those that are only deployed where there is none. */
  readonly config: ReadonlySet<string>;
  readonly beside: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
  /** Of files and links that are left alone: they have no step. */
  readonly standing: EncodedLines<RecordLine>;
  /** The record before it tells of no other modules. */
  readonly hasAll: boolean;
}

/** What the update came in, and the digests of what was staged. */
export interface Staged {
  readonly request: PackageRequest;
  /** Of the staged files whose digest the plan does not tell, by target. */
  readonly fingerprints: { get(target: string): Fingerprint | undefined };
  /** See Stager. */
  readonly unheld: ReadonlyMap<string, readonly string[]>;
}

/** Without the survey, which takes more: to be made before thousands of files are unpacked. */
export async function deployedOf(
  release: Release,
  { wants, facts, moduleRoots }: Survey,
  recorded: Recorded,
  removed: readonly string[],
): Promise<Deployed> {
  const config = new Set<string>();
  const beside = new Set<string>();
  const kept = new Set<string>();
  const directories: Deployed['directories'][number][] = [];
  const standing = await openEncodedLines<RecordLine>();
  const modules = new Set([...release.modules.map(({ name }) => name), ...removed]);
  for await (const want of breathing(wants)) {
    const { kind, module, target } = want;
    if (kind === 'directory') directories.push({ module, target });
    if (kind !== 'file') continue;
    if (want.whenThere === 'config') config.add(target);
    if (want.isBeside) beside.add(target);
    if (want.whenThere === 'keep') kept.add(target);
    const found = want.stands ? facts.found.get(target) : undefined;
    if (found === undefined || !isLeftAlone(want, found, facts)) continue;
    const line = lineOf(want, found, facts.attributes?.get(target)?.values);
    if (line !== undefined) standing.add(line);
  }
  return {
    ...{ config, beside, kept, standing, directories },
    hasAll: [...recorded.modules.keys()].every((name) => modules.has(name)),
    version: release.version,
    ...(release.notes !== undefined && { notes: release.notes }),
    modules: release.modules.map(({ name, isTree, isSelf, target, service, commands }) => {
      const tree = isTree ? (moduleRoots.get(name) ?? target) : null;
      return {
        kind: 'module',
        name,
        tree,
        ...(isSelf && { isSelf }),
        service,
        ...(commands && { commands }),
      };
    }),
  };
}

function lineOf(
  { module, target: path, source: entry, sizeBytes, sha256, crc32, whenThere, isBeside, link }: FileWant,
  { mode, uid, gid }: Found,
  attributes: Attributes | undefined,
): DeployedFile | DeployedLink | undefined {
  const edited = editedFacts(whenThere === 'config', isBeside);
  if (link !== undefined) return { kind: 'link', module, path, to: link, ...edited, uid, gid };
  if (sha256 === undefined) return undefined;
  const content = { entry, sizeBytes, ...(crc32 !== undefined && { crc32 }), sha256 };
  const dress = { mode, uid, gid, ...recordedAttributes(attributes) };
  return { kind: 'file', module, path, ...dress, ...content, ...edited };
}

function editedFacts(isConfig: boolean, isBeside = false): Pick<DeployedFile, 'isConfig' | 'isBeside'> {
  return { ...(isConfig && { isConfig }), ...(isBeside && { isBeside }) };
}

/** Those that an audit compares: what programs note under `user.` is their own affair. `unheld`: what could not be given. */
function recordedAttributes(
  attributes: Attributes = {},
  unheld: readonly string[] = [],
): Pick<DeployedFile, 'attributes'> {
  const names = [capability, accessList].filter((name) => attributes[name] !== undefined);
  const held = names.filter((name) => !unheld.includes(name));
  if (held.length === 0) return {};
  return { attributes: Object.fromEntries(held.map((name) => [name, attributes[name] ?? ''])) };
}

/** To be called while the plan is staged and every directory stands. Throws DEPLOYMENT_FAILED or DISK_FULL: what cannot be remembered is not made. */
export async function rememberDeployed(
  host: Pick<Host, 'files' | 'memory'>,
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
    ...(deployed.notes !== undefined && { notes: deployed.notes }),
    package: {
      sizeBytes: request.package_size,
      md5: request.package_md5,
      sha256: request.package_sha256 ?? null,
    },
  } as const;
  try {
    const directories = await directoriesOf(host.files, plan, deployed);
    const lines = { [Symbol.iterator]: () => linesOf(plan, deployed, directories, staged) };
    const { removed = [] } = plan;
    const { standing, hasAll } = deployed;
    const { produced } = host.memory;
    await writeRecord(
      host.files,
      backupDirectory,
      header,
      { lines, own: deployed.modules.map(({ name }) => name), standing, removed, hasAll, produced },
      group,
    );
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'writing the record of what is deployed');
  }
}

/** One line at a time: those of thousands of files would take as much again as their plan. */
function* linesOf(
  plan: Plan,
  { modules, config, beside, kept }: Deployed,
  directories: readonly DeployedDirectory[],
  { fingerprints, unheld }: Staged,
): Generator<RecordLine> {
  for (const module of modules) yield { ...module, id: plan.id };
  yield* directories;
  for (const step of putSteps(plan)) {
    const { module, target, source, sizeBytes, mode, uid, gid, sha256, crc32 } = step;
    // What is only kept belongs to whoever edits it: no audit and no repair has to do with it.
    if (kept.has(target)) continue;
    const edited = editedFacts(config.has(target), beside.has(target));
    if (step.link !== undefined) {
      yield { kind: 'link', module, path: target, to: step.link, ...edited, uid, gid };
      continue;
    }
    const fingerprint = sha256 === null ? fingerprints.get(target) : { sha256 };
    if (fingerprint === undefined) throw new Error(`${target} was not staged`);
    const content = { entry: source, sizeBytes, ...(crc32 !== undefined && { crc32 }), ...fingerprint };
    const dress = { mode, uid, gid, ...recordedAttributes(step.attributes, unheld.get(target)) };
    yield { kind: 'file', module, path: target, ...dress, ...content, ...edited };
  }
}

/** The directories of the trees as they stand: what a repair makes again where they are missing. */
async function directoriesOf(
  files: Files,
  plan: Plan,
  { directories }: Deployed,
): Promise<DeployedDirectory[]> {
  const found: DeployedDirectory[] = [];
  const becoming = new Map(directorySteps(plan, 'becomeDirectory').map((step) => [step.target, step]));
  for (const { module, target } of directories) {
    const stat = becoming.get(target) ?? (await files.stat(target));
    if (stat === undefined) continue;
    const { mode, uid, gid } = stat;
    found.push({ kind: 'directory', module, path: target, mode, uid, gid });
  }
  return found;
}
