/**
 * Staging: everything that is new is written beside its target, checked and synced, before anything is switched.
 *
 * Invariant: when the group that it writes with was synced, every staged file is complete and durable under `${temp}.new`; no
 * target has been touched. Directories that are new stand already: they must, for a staged file lies in its target's directory.
 */
import { asUpdateError, UpdateError } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import { writeBehind } from '../host/write-behind.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { cloneFile, setAttributes } from './clone.ts';
import { type Fingerprint, isSame, newFingerprinting } from './fingerprint.ts';
import { directorySteps, type Plan, type PutStep, putSteps, stagedPath } from './plan.ts';

/** Takes the content of one file, in order. A chunk is the caller's again once write() has resolved. */
export interface StagedFileWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Checks size and digests, sets owner and mode; durable with the group. */
  end(): Promise<void>;
}

/** Makes the plan's new directories, parents first; their names are the caller's to sync. */
export async function makeDirectories(host: Pick<Host, 'files'>, plan: Plan): Promise<void> {
  for (const step of directorySteps(plan, 'makeDirectory')) {
    await attempt(step.target, () => host.files.makeDirectory(step.target, step.mode, step));
  }
}

export interface Stager {
  /** Sources that the plan takes content from. */
  readonly sources: ReadonlySet<string>;
  /** Of each staged file that is complete, by its target: what a later audit compares with. */
  readonly fingerprints: ReadonlyMap<string, Fingerprint>;
  /** Opens the staged files that take the content of `source`: usually one, but a source may serve several targets. */
  open(source: string): Promise<StagedFileWriter>;
  /** Closes what a failure in mid-file left open; harmless after success. */
  close(): Promise<void>;
}

/** Stages an update: the package's entries are pushed into the staged files. */
export function createStager(host: Pick<Host, 'files'>, plan: Plan, group: WriteGroup): Stager {
  const stepsOf = new Map<string, PutStep[]>();
  for (const step of putSteps(plan)) stepsOf.set(step.source, [...(stepsOf.get(step.source) ?? []), step]);
  const unfinished = new Set<() => Promise<void>>();
  const fingerprints = new Map<string, Fingerprint>();
  return {
    sources: new Set(stepsOf.keys()),
    fingerprints,
    open: async (source) => {
      const writers: StagedFileWriter[] = [];
      for (const step of stepsOf.get(source) ?? [])
        writers.push(await openOne(host.files, step, group, unfinished, fingerprints));
      return {
        write: async (chunk) => {
          for (const writer of writers) await writer.write(chunk);
        },
        end: async () => {
          for (const writer of writers) await writer.end();
        },
      };
    },
    close: async () => {
      for (const close of unfinished) await close();
      unfinished.clear();
    },
  };
}

/** Stages a rollback: each file comes from the backup that its step names. */
export async function stageBackups(host: Pick<Host, 'files'>, plan: Plan, group: WriteGroup): Promise<void> {
  for (const step of putSteps(plan)) {
    await attempt(step.target, () => cloneFile(host.files, step.source, stagedPath(step), group));
  }
}

async function openOne(
  files: Files,
  step: PutStep,
  group: WriteGroup,
  unfinished: Set<() => Promise<void>>,
  fingerprints: Map<string, Fingerprint>,
): Promise<StagedFileWriter> {
  const { createHash } = await import('node:crypto');
  const md5 = step.md5 === null ? undefined : createHash('md5');
  const wanted = wantedOf(step);
  const fingerprinting = await newFingerprinting(wanted);
  const file = await attempt(step.target, () => files.open(stagedPath(step), 'create'));
  const out = writeBehind(file, step.sizeBytes);
  const close = async () => {
    await out.idle(); // a write must not meet another file under the same descriptor
    await file.close();
  };
  unfinished.add(close);

  const check = () => {
    if (out.position() !== step.sizeBytes) {
      throw new UpdateError(
        'SIZE_MISMATCH',
        `${step.source}: ${step.sizeBytes} bytes expected, ${out.position()} found`,
      );
    }
    const foundMd5 = md5?.digest('hex') ?? null;
    if (foundMd5 !== step.md5) throw mismatch('MD5_MISMATCH', step.source, step.md5, foundMd5);
    const found = fingerprinting.finish();
    if (wanted !== undefined && !isSame(found, wanted)) {
      if (wanted.sha256 !== undefined)
        throw mismatch('SHA256_MISMATCH', step.source, wanted.sha256, found.sha256);
      throw new UpdateError('DEPLOYMENT_FAILED', `${step.source}: not the bytes that were deployed`);
    }
    fingerprints.set(step.target, found);
  };

  return {
    write: (chunk) =>
      attempt(step.target, async () => {
        md5?.update(chunk);
        fingerprinting.update(chunk);
        await out.write(chunk);
      }),
    end: () =>
      attempt(step.target, async () => {
        await out.flush();
        check();
        await setAttributes(file, step);
        unfinished.delete(close);
        await group.finish(file, step.sizeBytes);
      }),
  };
}

function wantedOf({ sha256, seal }: PutStep): Fingerprint | undefined {
  if (sha256 !== null) return { sha256 };
  return seal && { seal };
}

function mismatch(
  code: 'MD5_MISMATCH' | 'SHA256_MISMATCH',
  source: string,
  expected: string | null,
  found: string | null | undefined,
): UpdateError {
  return new UpdateError(code, `${source}: ${expected} expected, ${found} found`);
}

async function attempt<T>(target: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `staging ${target}`);
  }
}
