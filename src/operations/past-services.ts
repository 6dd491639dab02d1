/** How services ran when earlier updates were made, as their journals wrote it down before anything was stopped. */
import * as v from 'valibot';
import { journalsOf, latestUpdate } from '../deploy/past-updates.ts';
import type { Host } from '../host/host.ts';
import { type ServiceSnapshot, ServiceSnapshotsSchema } from '../services/snapshot.ts';

/** Of these updates, in their order; one that cannot be read is passed over. */
export async function servicesOfUpdates(
  host: Pick<Host, 'files'>,
  backupDirectory: string,
  ids: readonly string[],
): Promise<ServiceSnapshot[]> {
  const found: ServiceSnapshot[] = [];
  for (const journal of await journalsOf(host.files, backupDirectory, ids)) {
    const parsed = v.safeParse(ServiceSnapshotsSchema, journal.services ?? []);
    if (parsed.success) found.push(...parsed.output);
  }
  return found;
}

/** Of the last update, where its journal is a short one: a long one is not read for this. */
export async function lastServices(
  host: Pick<Host, 'files'>,
  backupDirectory: string,
): Promise<ServiceSnapshot[]> {
  const id = await latestUpdate(host.files, backupDirectory);
  return id === undefined ? [] : await servicesOfUpdates(host, backupDirectory, [id]);
}
