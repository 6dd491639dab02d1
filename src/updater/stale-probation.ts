/** The files of a probation (deploy/probation.ts) that is over: what had been on trial does not stand any more. */
import { readHistory } from '../deploy/history-file.ts';
import { journalPath } from '../deploy/journal-file.ts';
import type { OwnExecutable } from '../deploy/probation.ts';
import type { Host } from '../host/host.ts';

/**
 * Removes them; true where they were there. Its update was undone, and a power cut has brought them back, as their end is not synced;
 * or a fallback has rolled it back, and was cut before it had ended it. An update that is still in the journal, and what an installer
 * has begun, stay. Call while no transaction can begin one.
 */
export async function endStaleProbation(
  host: Pick<Host, 'files'>,
  backups: string,
  executable: OwnExecutable | undefined,
): Promise<boolean> {
  const update = (await executable?.probation())?.update;
  if (executable === undefined || update === undefined) return false;
  if ((await host.files.stat(journalPath(backups))) !== undefined) return false;
  const isUndone = async () =>
    (await readHistory(host.files, backups)).some(({ id, outcome }) => id === update && outcome === 'failed');
  if ((await executable.isTrying()) && !(await isUndone())) return false;
  await executable.endProbation();
  return true;
}
