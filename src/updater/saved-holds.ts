/**
 * `tmp/holds.json`: the holds in force, for a restart of the updater within one boot (spec section 9). Not synced: a power cut
 * ends every hold. Times are those of Clock.elapsed, which counts on over processes of a boot.
 */

import { posix } from 'node:path';
import * as v from 'valibot';
import { errorText } from '../errors.ts';
import { readWhole, removeIfThere, writeWhole } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';

const LeaseSchema = v.object({
  hold: v.object({ owner: v.string(), reason: v.string(), expires_at: v.string() }),
  endsMs: v.number(),
});
const SavedHoldsSchema = v.object({ boot_id: v.string(), leases: v.array(LeaseSchema) });

/** A hold, and when it ends by Clock.elapsed. */
export type Lease = v.InferOutput<typeof LeaseSchema>;

export type SavedHoldsHost = Pick<Host, 'files' | 'processes' | 'log'>;

export const holdsFile = 'holds.json';

/** Those that a life before this one had in this boot; none where the file is not ours to read. */
export async function loadHolds(
  { files, processes, log }: SavedHoldsHost,
  tmp: string,
): Promise<readonly Lease[]> {
  try {
    const bytes = await readWhole(files, posix.join(tmp, holdsFile), limits.stateBytes);
    if (bytes === undefined) return [];
    const saved = v.parse(SavedHoldsSchema, JSON.parse(Buffer.from(bytes).toString('utf8')));
    return saved.boot_id === (await processes.bootId()) ? saved.leases : [];
  } catch (thrown) {
    log.warn(`the holds of an earlier run are not known: ${errorText(thrown)}`);
    return [];
  }
}

/** A failure is logged: the holds are in force all the same. */
export async function saveHolds(
  { files, processes, log }: SavedHoldsHost,
  tmp: string,
  leases: readonly Lease[],
): Promise<void> {
  const path = posix.join(tmp, holdsFile);
  try {
    const content = { boot_id: await processes.bootId(), leases };
    if (leases.length > 0) await writeWhole(files, path, Buffer.from(`${JSON.stringify(content)}\n`));
    else await removeIfThere(files, path);
  } catch (thrown) {
    log.warn(`the holds would not survive a restart: ${errorText(thrown)}`);
  }
}
