/**
 * `tmp/state.json`: what the updater is in the middle of. Written whole and durably, before the step it announces; one that
 * cannot be read is moved aside as evidence and counts as absent (spec section 5). Mode 0600: a pre-signed URL is a secret.
 */
import { posix } from 'node:path';
import * as v from 'valibot';
import { PackageSchema } from '../download/request.ts';
import { ResumeSchema } from '../download/resume.ts';
import { errno, errorText } from '../errors.ts';
import { FleetActionSchema } from '../history.ts';
import { readWhole, writeDurably } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { NotesSchema } from '../notes.ts';
import { SealSchema } from '../seal.ts';
import { VersionSchema } from '../version.ts';
import { diskReserve } from './disk-reserve.ts';
import { stages } from './state.ts';

const common = {
  stage: v.picklist(stages),
  last_update: v.string(),
  error: v.nullable(v.string()),
  /** Starts of the daemon that found this install unfinished. */
  install_starts: v.pipe(v.number(), v.integer(), v.minValue(0)),
};

export const SavedUpdateSchema = v.object({
  operation: v.literal('update'),
  ...PackageSchema.entries,
  ...ResumeSchema.entries,
  ...common,
  /** ISO 8601; null until the package was verified. */
  verified_at: v.nullable(v.pipe(v.string(), v.isoTimestamp())),
  /** The same by the boot's own clock. Counts only beside the `verified_at` that it names, which somebody may have changed alone. */
  verified_boot: v.optional(v.object({ id: v.string(), ms: v.number(), at: v.string() })),
  /** Absent until then, too. */
  package_seal: v.optional(SealSchema),
  package_notes: v.optional(NotesSchema),
  /** Absent where a caller on the device asked. */
  fleet_action: v.optional(FleetActionSchema),
});

export const SavedRollbackSchema = v.object({
  operation: v.literal('rollback'),
  /** The update to take back; null: the last one. */
  version: v.nullable(VersionSchema),
  /** Why, as `CODE: text`, where nobody asked for it. */
  because: v.optional(v.string()),
  ...common,
});

export const SavedRepairSchema = v.object({ operation: v.literal('repair'), ...common });

const SavedSchema = v.variant('operation', [SavedUpdateSchema, SavedRollbackSchema, SavedRepairSchema]);

export type SavedUpdate = v.InferOutput<typeof SavedUpdateSchema>;
/** The content of state.json; times and names as on the wire. */
export type Saved = v.InferOutput<typeof SavedSchema>;

export interface Store {
  load(): Promise<Saved | undefined>;
  /** Undefined: nothing is worth saving, and the file goes. */
  save(saved: Saved | undefined): Promise<void>;
  /** Durably forgets: the file is gone when it returns. */
  clear(): Promise<void>;
}

/** The store in tmp/. Where the disk is too full to write down a rollback, the reserve is given up for it. */
export function createStore(host: Pick<Host, 'files' | 'log'>, workDirectory: string): Store {
  const directory = posix.join(workDirectory, 'tmp');
  const reserve = diskReserve(host.files, workDirectory);
  const path = posix.join(directory, 'state.json');
  const clear = async () => {
    if ((await host.files.stat(path)) === undefined) return;
    await host.files.remove(path);
    await host.files.syncDirectory(directory);
  };
  return {
    load: async () => {
      await reserve.keep();
      try {
        const bytes = await readWhole(host.files, path, limits.stateBytes);
        return bytes && v.parse(SavedSchema, JSON.parse(Buffer.from(bytes).toString('utf8')));
      } catch (thrown) {
        host.log.error(`${path} is unreadable and is moved aside: ${errorText(thrown)}`);
        await moveAside(host, path);
        return undefined;
      }
    },
    save: async (saved) => {
      if (saved === undefined) return clear();
      const bytes = Buffer.from(`${JSON.stringify(saved, undefined, 2)}\n`);
      await writeDurably(host.files, path, bytes).catch(async (thrown: unknown) => {
        // What has filled the disk may be the very update that is to be taken back.
        if (saved.operation !== 'rollback' || errno(thrown) !== 'ENOSPC') throw thrown;
        await reserve.release();
        await writeDurably(host.files, path, bytes);
      });
      if (saved.operation !== 'rollback') await reserve.keep();
    },
    clear,
  };
}

async function moveAside(host: Pick<Host, 'files' | 'log'>, path: string): Promise<void> {
  try {
    await host.files.rename(path, `${path}.damaged`); // not synced: where it comes back it is moved again
  } catch (thrown) {
    host.log.error(`moving ${path} aside: ${errorText(thrown)}`);
  }
}
