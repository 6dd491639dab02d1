/** Why a rollback came that nobody asked for, as the history tells once it has succeeded. */
import { readHistory } from '../deploy/history-file.ts';
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';

/** What an earlier run had told of the operation `id` before it was cut; undefined: nothing, or nothing but that it succeeded. */
export async function toldBecause(
  files: Files,
  backups: string,
  id: string,
): Promise<UpdateError | undefined> {
  const told = (await readHistory(files, backups)).find((entry) => entry.id === id);
  return told?.outcome === 'success' && told.error !== null ? UpdateError.parse(told.error) : undefined;
}
