/** What an earlier update deployed, as a download wants to know it: from the record of what is deployed now. */
import { currentRecord, keptPackagePath } from '../deploy/current-record.ts';
import { openRecord } from '../deploy/deployed-record.ts';
import type { Candidates, DeployedCandidate } from '../download/candidates.ts';
import { UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';

/** Undefined where there is no record: nothing was installed, or it is damaged. */
export async function candidatesFor(
  { files, log }: Pick<Host, 'files' | 'log'>,
  backups: string,
): Promise<Candidates | undefined> {
  const id = await currentRecord(files, backups);
  if (id === undefined) return undefined;
  const keptPackage = keptPackagePath(backups, id);
  return {
    keptPackage: (await files.stat(keptPackage))?.kind === 'file' ? keptPackage : undefined,
    deployed: () => deployedFiles(files, log, backups, id),
  };
}

/** A damaged record tells what comes before the damage: nothing of it is believed before it was compared. */
async function* deployedFiles(
  files: Host['files'],
  log: Host['log'],
  backups: string,
  id: string,
): AsyncGenerator<DeployedCandidate> {
  try {
    for await (const line of (await openRecord(files, backups, id)).lines()) {
      if (line.kind !== 'file' || line.crc32 === undefined) continue;
      const { path, sizeBytes, crc32, sha256 } = line;
      yield { path, sizeBytes, crc32, sha256 };
    }
  } catch (thrown) {
    if (!(thrown instanceof UpdateError)) throw thrown;
    log.warn(`download: ${thrown.message}`);
  }
}
