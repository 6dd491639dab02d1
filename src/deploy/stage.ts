/**
 * Staging: everything that is new is written beside its target, checked and synced, before anything is switched.
 *
 * Invariant: when the group that it writes with was synced, every staged file is complete and durable under `${temp}.new`; no
 * target has been touched. Directories that are new stand already: they must, for a staged file lies in its target's directory.
 */
import { attributesInWords } from '../attribute-kinds.ts';
import { asUpdateError } from '../errors.ts';
import { breathing, breathingEach } from '../host/breathing.ts';
import type { Host, OpenFile } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { setAttributes } from '../host/new-files.ts';
import { writeBehind } from '../host/write-behind.ts';
import type { WriteGroup } from '../host/write-group.ts';
import { limits } from '../limits.ts';
import { loadPacking, type PackedMap } from '../packed-list.ts';
import { loadTextDigest } from '../text-digest.ts';
import { attributeFinder, giveAttributes } from './attributes.ts';
import { cloneFile, copyFile } from './clone.ts';
import type { Fingerprint } from './fingerprint.ts';
import { directorySteps, type Plan, type PutStep, putSteps, stagedPath, summaryOf } from './plan.ts';
import { type CheckParts, checkSize, checkWhole, newCheck } from './staged-check.ts';

/** Takes the content of one file, in order. A chunk is the caller's again once write() has resolved. */
export interface StagedFileWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Checks size and digests, sets owner and mode; durable with the group. */
  end(): Promise<void>;
}

/** What stands in a source, all of it. */
export interface WholeSource {
  readonly source: string;
  readonly content: Uint8Array;
}

/** Makes the plan's new directories, parents first; their names are the caller's to sync. */
export async function makeDirectories(host: Pick<Host, 'files'>, plan: Plan): Promise<void> {
  for (const kind of ['makeDirectory', 'holdDirectory', 'becomeDirectory'] as const)
    for (const step of directorySteps(plan, kind))
      await attempt(step.target, () => host.files.makeDirectory(step.staged ?? step.target, step.mode, step));
}

/** Makes the symlinks that the plan brings, beside their targets; their names are the caller's to sync. */
export async function stageLinks({ files }: Pick<Host, 'files'>, plan: Plan): Promise<void> {
  if (summaryOf(plan).links === 0) return;
  for await (const step of breathing(putSteps(plan))) {
    const { link } = step;
    if (link !== undefined)
      await attempt(step.target, () => files.symbolicLink(link, stagedPath(step), step));
  }
}

export interface Stager {
  /** Sources that the plan takes content from. */
  readonly sources: Sources;
  /** Of the staged files that are complete and whose digest the plan does not tell, by target: what a later audit compares with. */
  readonly fingerprints: Pick<PackedMap<Fingerprint>, 'get'>;
  /** Names of extended attributes that the filesystem of a target cannot hold, by target. */
  readonly unheld: ReadonlyMap<string, readonly string[]>;
  /** The first module that takes content from there. */
  moduleOf(source: string): string | undefined;
  /** Opens the staged files that take the content of `source`: usually one, but a source may serve several targets. */
  open(source: string): Promise<StagedFileWriter>;
  /** The same for small sources that are at hand, many at a time. The contents are the caller's again when it has resolved. */
  putMany(sources: readonly WholeSource[]): Promise<void>;
  /** Closes what a failure in mid-file left open; harmless after success. */
  close(): Promise<void>;
}

export interface Sources extends Iterable<string> {
  readonly size: number;
  has(source: string): boolean;
}

/** Stages an update: the package's entries are pushed into the staged files. From `sealFromBytes` on, see Fingerprint. */
export async function createStager(
  host: Pick<Host, 'files' | 'log'>,
  plan: Plan,
  group: WriteGroup,
  sealFromBytes: number = limits.sealFromBytes,
): Promise<Stager> {
  const packing = await loadPacking();
  /** Places in the plan's list. */
  const first = packing.map<number>();
  /** The others of a source that serves several targets: that is rare. */
  const more = new Map<string, PutStep[]>();
  let index = -1;
  await breathingEach(plan.steps, (step) => {
    index += 1;
    if (step.kind !== 'put' || step.link !== undefined) return; // see stageLinks
    if (!first.has(step.source)) first.set(step.source, index);
    else more.set(step.source, [...(more.get(step.source) ?? []), step]);
  });
  const firstOf = (source: string): PutStep | undefined => {
    const step = plan.steps.at(first.get(source) ?? plan.steps.length);
    return step?.kind === 'put' ? step : undefined;
  };
  const unfinished = new Set<() => Promise<void>>();
  const fingerprints = packing.map<Fingerprint>();
  const unheld = new Map<string, readonly string[]>();
  const stepsOf = (source: string): readonly PutStep[] => {
    const step = firstOf(source);
    return step === undefined ? [] : [step, ...(more.get(source) ?? [])];
  };
  let parts: Parts | undefined;
  const loadParts = async (): Promise<Parts> => {
    const [crypto, digest] = [await import('node:crypto'), await loadTextDigest()];
    parts = { ...host, crypto, digest, group, sealFromBytes, unfinished, fingerprints, unheld };
    return parts;
  };
  return {
    sources: {
      get size() {
        return first.size;
      },
      has: first.has,
      *[Symbol.iterator]() {
        for (const [source] of first) yield source;
      },
    },
    fingerprints,
    unheld,
    moduleOf: (source) => firstOf(source)?.module,
    open: async (source) => {
      const loaded = parts ?? (await loadParts());
      const writers: StagedFileWriter[] = [];
      for (const step of stepsOf(source)) {
        const isSmall = step.sizeBytes <= limits.wholeFileBytes;
        writers.push(isSmall ? openSmall(loaded, step) : await openLarge(loaded, step));
      }
      const [only] = writers;
      if (only !== undefined && writers.length === 1) return only;
      return {
        write: async (chunk) => {
          for (const writer of writers) await writer.write(chunk);
        },
        end: async () => {
          for (const writer of writers) await writer.end();
        },
      };
    },
    putMany: async (sources) => {
      const loaded = parts ?? (await loadParts());
      const puts = sources.flatMap(({ source, content }) =>
        stepsOf(source).map((step) => ({ step, content })),
      );
      for (const { step, content } of puts) checkWhole(loaded, step, content);
      await putAll(loaded, puts);
    },
    close: async () => {
      for (const close of unfinished) await close();
      unfinished.clear();
    },
  };
}

/**
 * Stages a rollback: each file comes from the backup that its step names. It is a copy, as what is put back may be written to
 * before it is found to fail, and the backup must not be; but see Plan.sharesBackups.
 */
export async function stageBackups(
  { files, log }: Pick<Host, 'files' | 'log'>,
  plan: Plan,
  group: WriteGroup,
): Promise<void> {
  const clone = plan.sharesBackups === true ? cloneFile : copyFile;
  const hasAttributes = attributeFinder(files, sourcesOf(plan));
  await forEachInFlight(putSteps(plan), limits.filesInFlight, (step) =>
    attempt(step.target, async () => {
      const options = { group, hasAttributes };
      const { lost } = await clone(files, step.source, stagedPath(step), options);
      if (lost.length > 0)
        log.warn(
          `${step.target} comes back without ${attributesInWords(lost)}: its filesystem cannot hold that`,
        );
    }),
  );
}

function* sourcesOf(plan: Plan): Generator<string> {
  for (const { source } of putSteps(plan)) yield source;
}

interface Parts extends Pick<Host, 'files' | 'log'>, CheckParts {
  readonly group: WriteGroup;
  /** How to close what is open, each until it is closed. */
  readonly unfinished: Set<() => Promise<void>>;
  readonly unheld: Map<string, readonly string[]>;
}

/** Owner, mode and extended attributes of a staged file. */
async function dress({ log, unheld }: Parts, file: OpenFile, step: PutStep): Promise<void> {
  await setAttributes(file, step);
  if (step.attributes === undefined) return;
  const names = await giveAttributes(file, step.attributes);
  if (names.length === 0) return;
  unheld.set(step.target, names);
  log.warn(`${step.target} is to have ${attributesInWords(names)}, which its filesystem cannot hold`);
}

/** Held whole until its end, and then written beside others: each step of it would have to be waited for otherwise. */
function openSmall(parts: Parts, step: PutStep): StagedFileWriter {
  let content: Uint8Array | undefined;
  let filled = 0;
  return {
    write: async (chunk) => {
      content ??= new Uint8Array(step.sizeBytes);
      // More than was announced is only counted: end() refuses it.
      content.set(chunk.subarray(0, Math.max(0, step.sizeBytes - filled)), filled);
      filled += chunk.length;
    },
    end: async () => {
      checkSize(step, filled);
      const whole = content ?? new Uint8Array(0);
      checkWhole(parts, step, whole);
      await parts.group.begin(() => putAll(parts, [{ step, content: whole }]));
    },
  };
}

interface Put {
  readonly step: PutStep;
  readonly content: Uint8Array;
}

/** Resolves when all is written. */
async function putAll(parts: Parts, puts: readonly Put[]): Promise<void> {
  const { files, group } = parts;
  const plain = puts.filter(({ step }) => step.attributes === undefined);
  const wanted = plain.map(({ step, content }) => {
    const { mode, uid, gid } = step;
    return { path: stagedPath(step), content, mode, uid, gid };
  });
  await group.create(wanted, (index, thrown) =>
    asUpdateError(thrown, 'DEPLOYMENT_FAILED', `staging ${plain[index]?.step.target}`),
  );
  for (const { step, content } of puts) {
    if (step.attributes === undefined) continue;
    await attempt(step.target, async () => {
      const file = await files.open(stagedPath(step), 'create');
      let isTaken = false;
      try {
        await file.write(content, 0);
        await dress(parts, file, step);
        isTaken = true;
        await group.finish(file, step.sizeBytes);
      } finally {
        if (!isTaken) await file.close();
      }
    });
  }
}

async function openLarge(parts: Parts, step: PutStep): Promise<StagedFileWriter> {
  const { files, group, unfinished } = parts;
  const checking = newCheck(parts, step);
  const file = await attempt(step.target, () => files.open(stagedPath(step), 'create'));
  const out = writeBehind(file, step.sizeBytes);
  const close = async () => {
    await out.idle(); // a write must not meet another file under the same descriptor
    await file.close();
  };
  unfinished.add(close);
  return {
    write: (chunk) =>
      attempt(step.target, async () => {
        checking.update(chunk);
        await out.write(chunk);
      }),
    end: () =>
      attempt(step.target, async () => {
        await out.flush();
        checking.finish(out.position());
        await dress(parts, file, step);
        unfinished.delete(close);
        await group.finish(file, step.sizeBytes);
      }),
  };
}

async function attempt<T>(target: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (thrown) {
    throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', `staging ${target}`);
  }
}
