/** Where a repair takes the right bytes from, and the filling of its staged files with them. */

import { posix } from 'node:path';
import type { AuditResult, Damage, Mended } from '../audit/audit.ts';
import { backupOf } from '../deploy/backup.ts';
import { createComparer } from '../deploy/compare.ts';
import { keptPackagePath } from '../deploy/current-record.ts';
import type { DeployedFile } from '../deploy/deployed-record.ts';
import { type PlanHead, pastPlan, pastUpdates } from '../deploy/past-updates.ts';
import { type FileStep, fileSteps, type Plan } from '../deploy/plan.ts';
import { createStager, type Stager } from '../deploy/stage.ts';
import { hashPackage } from '../download/verify.ts';
import { errorText, UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import { fileChunks } from '../host/file-chunks.ts';
import type { Files, Host } from '../host/host.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { openArchive } from '../package/archive.ts';
import type { TransactionContext } from './transaction-context.ts';

export interface Restorable {
  /** Absolute path of a file, or the name of an entry of the kept package: no entry's name begins with "/". */
  readonly source: string;
  /** In words. */
  readonly from: string;
}

export interface Sources {
  /** By path of the damaged file. */
  readonly restorable: ReadonlyMap<string, Restorable>;
  readonly hopeless: ReadonlyMap<string, Mended>;
  readonly packagePath: string;
}

/** Looks for the bytes of every damaged file. Reads only; rejects with the signal's reason. */
export async function findSources(
  host: Pick<Host, 'files' | 'log' | 'memory'>,
  backupDirectory: string,
  result: AuditResult,
  signal: AbortSignal,
): Promise<Sources> {
  const restorable = new Map<string, Restorable>();
  const hopeless = new Map<string, Mended>();
  const packagePath = keptPackagePath(backupDirectory, result.header.id);
  const backupOf = await backupFinder(host, backupDirectory, result.damages, signal);
  let whyNoPackage: string | null | undefined; // undefined: not looked at yet; null: it is good
  for (const damage of result.damages) {
    const { file, kind } = damage;
    const obstacle = await obstacleAt(host.files, damage);
    if (obstacle !== undefined) {
      hopeless.set(file.path, { restored: false, note: obstacle });
      continue;
    }
    if (file.kind === 'link') {
      restorable.set(file.path, { source: file.path, from: 'the record of what is deployed' });
      continue;
    }
    const backup = kind === 'attributes' ? undefined : await backupOf(file);
    if (kind === 'attributes') restorable.set(file.path, { source: file.path, from: 'its own bytes' });
    else if (backup !== undefined) restorable.set(file.path, backup);
    else {
      if (whyNoPackage === undefined) whyNoPackage = await packageFault(host, packagePath, result, signal);
      const isInPackage = result.modules.get(file.module)?.id === result.header.id;
      const why = isInPackage ? whyNoPackage : 'an earlier update brought it, whose package is not kept';
      if (why === null) restorable.set(file.path, { source: file.entry, from: 'the package that was kept' });
      else
        hopeless.set(file.path, {
          restored: false,
          note: `no backup holds its bytes, and ${why}: ${installAgain(result)}`,
        });
    }
  }
  return { restorable, hopeless, packagePath };
}

/** Fills the staged files of a repair; size and digest of each are checked on the way. */
export async function stageSources(
  context: Pick<TransactionContext, 'host' | 'cancel' | 'shutdown' | 'progress'>,
  plan: Plan,
  { packagePath }: Sources,
  group: WriteGroup,
): Promise<void> {
  const { host } = context;
  const stager = await createStager(host, plan, group);
  const signal = AbortSignal.any([context.cancel, context.shutdown]);
  const isEntry = (source: string) => !source.startsWith('/');
  context.progress(1, 'restoring files');
  try {
    for (const source of stager.sources) {
      signal.throwIfAborted();
      if (!isEntry(source)) await copyFile(host.files, source, stager);
    }
    const wanted = new Set<string>();
    for (const source of stager.sources) if (isEntry(source)) wanted.add(source);
    if (wanted.size > 0) await extract(context, packagePath, wanted, stager, signal);
  } finally {
    await stager.close();
  }
}

async function extract(
  { host, progress }: Pick<TransactionContext, 'host' | 'progress'>,
  packagePath: string,
  wanted: ReadonlySet<string>,
  stager: Stager,
  signal: AbortSignal,
): Promise<void> {
  const archive = await openArchive(host, packagePath);
  const totalBytes = archive.sizeBytes;
  try {
    await archive.extract({
      wanted,
      open: (entry) => stager.open(entry.name),
      takeMany: (entries) =>
        stager.putMany(entries.map(({ entry, content }) => ({ source: entry.name, content }))),
      digest: undefined,
      onBytes: (bytes) => progress((90 * bytes) / totalBytes, 'restoring files', { bytes, totalBytes }),
      signal,
    });
  } finally {
    await archive.close();
  }
}

async function copyFile(files: Files, path: string, stager: Stager): Promise<void> {
  const writer = await stager.open(path);
  const file = await files.open(path, 'read');
  try {
    for await (const chunk of fileChunks(file, { chunkBytes: limits.readBufferBytes }))
      await writer.write(chunk);
  } finally {
    await file.close();
  }
  await writer.end();
}

/** What no rename can replace, and what a person has put there on purpose perhaps. */
async function obstacleAt(files: Files, { file, text }: Damage): Promise<string | undefined> {
  const parents: string[] = [];
  for (let path = posix.dirname(file.path); path !== '/'; path = posix.dirname(path)) parents.unshift(path);
  // From the top: below a symlink nothing can be asked for.
  for (const path of parents) {
    const kind = (await files.stat(path))?.kind;
    if (kind !== undefined && kind !== 'directory')
      return `${path} is not a directory: move it away, then repair again`;
  }
  const found = await files.stat(file.path);
  if (found?.kind === 'directory' || found?.kind === 'other')
    return `it ${text}: move away what stands there, then repair again`;
  return undefined;
}

/** Of the backups of past updates, the newest that holds the bytes a file was deployed with. */
async function backupFinder(
  host: Pick<Host, 'files' | 'log' | 'memory'>,
  backupDirectory: string,
  damages: readonly Damage[],
  signal: AbortSignal,
): Promise<(file: DeployedFile) => Promise<Restorable | undefined>> {
  const past = await stepsOfPast(host, backupDirectory, new Set(damages.map(({ file }) => file.path)));
  const { holds } = createComparer(host.files, { signal, pace: () => undefined });
  return async (file) => {
    for (const { plan, steps } of past) {
      const step = steps.get(file.path);
      const backup = step === undefined ? null : await backupOf(host.files, step);
      if (backup === null) continue;
      const saved = await host.files.stat(backup);
      if (saved?.kind !== 'file' || saved.sizeBytes !== file.sizeBytes) continue;
      try {
        if (await holds(backup, file.sizeBytes, file))
          return { source: backup, from: `the backup of ${plan.previousVersion ?? 'what was there before'}` };
      } catch (thrown) {
        signal.throwIfAborted();
        host.log.warn(`${backup} cannot be read: ${errorText(thrown)}`);
      }
    }
    return undefined;
  };
}

/** Of the past updates, newest first, the steps at these targets. */
async function stepsOfPast(
  host: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  targets: ReadonlySet<string>,
): Promise<{ readonly plan: PlanHead; readonly steps: ReadonlyMap<string, FileStep> }[]> {
  const found = [];
  for (const plan of await pastUpdates(host, backupDirectory)) {
    const steps = new Map<string, FileStep>();
    const { id } = plan;
    for await (const step of breathing(fileSteps(await pastPlan(host.files, backupDirectory, id))))
      if (targets.has(step.target)) steps.set(step.target, step);
    found.push({ plan, steps });
  }
  return found;
}

/** Null: the package that was kept is the one that was installed. */
async function packageFault(
  host: Pick<Host, 'files' | 'memory'>,
  path: string,
  { header }: AuditResult,
  signal: AbortSignal,
): Promise<string | null> {
  if ((await host.files.stat(path)) === undefined) return 'no package is kept (see --keep-package)';
  try {
    const found = await hashPackage(host, path, header.package.sha256 !== null, signal);
    const isRight =
      found.sizeBytes === header.package.sizeBytes &&
      found.md5 === header.package.md5 &&
      (header.package.sha256 === null || found.sha256 === header.package.sha256);
    return isRight ? null : `the package that was kept, ${path}, is damaged`;
  } catch (thrown) {
    signal.throwIfAborted();
    if (!(thrown instanceof UpdateError)) throw thrown;
    return `the package that was kept cannot be read (${thrown.message})`;
  }
}

function installAgain({ header }: AuditResult): string {
  return `install ${header.version} again`;
}
