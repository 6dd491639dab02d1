/** One audit: every deployed file against the record of what was deployed. Reads only; what it found is told by the report. */
import {
  type Comparer,
  comparers,
  type Difference,
  type DifferenceKind,
  extraFiles,
} from '../deploy/compare.ts';
import { currentRecord } from '../deploy/current-record.ts';
import {
  type DeployedDirectory,
  type DeployedFile,
  type DeployedLink,
  type DeployedModule,
  type DeployedRecord,
  openRecord,
  type RecordHeader,
} from '../deploy/deployed-record.ts';
import { lastSuccess, readHistory } from '../deploy/history-file.ts';
import { UpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { inFlight } from '../host/in-flight.ts';
import { limits } from '../limits.ts';
import { loadPacking } from '../packed-list.ts';
import type { AuditReport } from './audit-report.ts';

export interface AuditOptions {
  readonly signal: AbortSignal;
  /** See compare.ts. */
  readonly pace: (bytes: number) => Promise<void> | undefined;
  /** Hears how many files have been compared. */
  readonly onFile: (files: number) => void;
}

/** A deployed file or symlink that is not as it was deployed. */
export interface Damage {
  readonly file: DeployedFile | DeployedLink;
  readonly kind: DifferenceKind;
  readonly text: string;
}

/** All that a repair needs to know beyond the report. */
export interface AuditResult {
  readonly header: RecordHeader;
  readonly modules: ReadonlyMap<string, DeployedModule>;
  readonly damages: readonly Damage[];
  /** Directories of trees, which a repair may have to make again. */
  readonly missingDirectories: readonly DeployedDirectory[];
  readonly startedMs: number;
  readonly files: number;
  readonly bytes: number;
  readonly extra: number;
  readonly extraFiles: readonly string[];
}

type AuditHost = Pick<Host, 'files' | 'clock'>;

/** Compares everything. Throws NO_BACKUP, with what to do, where there is no record or a damaged one; rejects with the reason of `signal`. */
export async function audit(
  host: AuditHost,
  backupDirectory: string,
  options: AuditOptions,
): Promise<AuditResult> {
  const { files, clock } = host;
  const { signal, pace } = options;
  const startedMs = clock.now();
  const record = await openCurrentRecord(files, backupDirectory);
  const packing = await loadPacking();
  const comparing = comparers(files, { signal, pace });
  const modules = new Map<string, DeployedModule>();
  /** With the place of each in the record. */
  const damaged: (readonly [place: number, damage: Damage])[] = [];
  const missingDirectories: DeployedDirectory[] = [];
  const known = packing.map<true>();
  let place = 0;
  let count = 0;
  let bytes = 0;
  const compare = async (file: DeployedFile | DeployedLink, at: number): Promise<void> => {
    const difference = await comparing((comparer) =>
      file.kind === 'link' ? comparer.link(file) : comparer.file(file),
    );
    if (difference !== undefined && !isEdit(file, difference)) damaged.push([at, { file, ...difference }]);
    count += 1;
    bytes += file.kind === 'link' ? 0 : file.sizeBytes;
    options.onFile(count);
  };
  const underWay = inFlight(limits.filesInFlight);
  try {
    for await (const line of record.lines()) {
      if (line.kind === 'module') modules.set(line.name, line);
      else if (line.kind === 'directory') {
        if (await comparing((comparer) => isMissing(comparer, line))) missingDirectories.push(line);
      } else {
        if (modules.get(line.module)?.tree !== null && !known.has(line.path)) known.set(line.path, true);
        const at = place++;
        await underWay.add(() => compare(line, at));
      }
    }
  } finally {
    await underWay.idle();
  }
  const damages = damaged.sort(([one], [other]) => one - other).map(([, damage]) => damage);
  const extra: string[] = [];
  let extraCount = 0;
  for (const { tree } of modules.values()) {
    if (tree === null) continue;
    for await (const path of extraFiles(files, tree, known, signal)) {
      extraCount += 1;
      if (extra.length < limits.auditExtraFiles) extra.push(path);
    }
  }
  const { header } = record;
  return {
    ...{ header, modules, damages, missingDirectories },
    ...{ startedMs, files: count, bytes, extra: extraCount, extraFiles: extra },
  };
}

/** What people do to a file that is theirs to edit; one beside it they take over or throw away, too. */
function isEdit({ isConfig, isBeside }: DeployedFile | DeployedLink, { kind }: Difference): boolean {
  if (isBeside === true) return kind !== 'unreadable';
  return isConfig === true && (kind === 'content' || kind === 'attributes');
}

/** What became of a damaged file in a repair. */
export interface Mended {
  readonly restored: boolean;
  readonly note: string;
}

/** The report of an audit; `mended`: by path, where a repair was tried. */
export function reportOf(
  result: AuditResult,
  endedMs: number,
  mended: ReadonlyMap<string, Mended> | undefined,
): AuditReport {
  const findings = result.damages.map(({ file: { path, module }, kind, text }) => {
    const outcome = mended?.get(path);
    return { path, module, kind, text, restored: outcome?.restored ?? null, note: outcome?.note ?? null };
  });
  return {
    version: result.header.version,
    unknown: null,
    started_at: new Date(result.startedMs).toISOString(),
    ended_at: new Date(endedMs).toISOString(),
    files: result.files,
    bytes: result.bytes,
    differing: findings.filter(({ restored }) => restored !== true).length,
    findings: findings.slice(0, limits.auditFindings),
    extra: result.extra,
    extra_files: [...result.extraFiles],
  };
}

/** Where there is nothing to compare with: no fault, but no good news either. */
export function unknownReport(error: UpdateError, startedMs: number, endedMs: number): AuditReport {
  return {
    version: null,
    unknown: error.message.slice(error.code.length + 2),
    started_at: new Date(startedMs).toISOString(),
    ended_at: new Date(endedMs).toISOString(),
    ...{ files: 0, bytes: 0, differing: 0, findings: [], extra: 0, extra_files: [] },
  };
}

/** The record of what is deployed now. Throws NO_BACKUP where there is none, or none that can be believed. */
export async function openCurrentRecord(files: Files, backupDirectory: string): Promise<DeployedRecord> {
  const record = await openRecord(files, backupDirectory, await idOfRecord(files, backupDirectory));
  await checkVersion(files, backupDirectory, record.header);
  return record;
}

async function idOfRecord(files: Files, backupDirectory: string): Promise<string> {
  const id = await currentRecord(files, backupDirectory);
  if (id !== undefined) return id;
  throw new UpdateError(
    'NO_BACKUP',
    'there is no record of what is deployed: nothing was installed, or by an updater that kept none; the next install makes one',
  );
}

/** An updater that kept no records may have worked here since: then the record tells of another version. */
async function checkVersion(files: Files, backupDirectory: string, header: RecordHeader): Promise<void> {
  const installed = lastSuccess(await readHistory(files, backupDirectory));
  if (installed === undefined || installed.version === header.version) return;
  throw new UpdateError(
    'NO_BACKUP',
    `the record of what is deployed tells of ${header.version}, installed is ${installed.version ?? 'nothing'}; the next install makes a new one`,
  );
}

async function isMissing(comparer: Comparer, directory: DeployedDirectory): Promise<boolean> {
  return (await comparer.directory(directory))?.kind === 'missing';
}
