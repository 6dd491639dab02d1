/** What a plan writes, as a group that is made durable at once (host/write-group.ts). */
import { asUpdateError, type ErrorCode } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { openWriteGroup, type WriteGroup } from '../host/write-group.ts';
import { type Plan, summaryOf, touchedDirectories } from './plan.ts';
import { standingDirectories, steadyDirectory } from './turned.ts';

/**
 * Runs `write` with a group for the filesystems of the plan's directories, which must stand, and of `others`. When it resolves,
 * all files that it finished are durable, and all names in the plan's directories and the returned ones. Rejects with what
 * `write` threw, or with `code`.
 */
export async function withPlanGroup(
  files: Files,
  plan: Plan,
  others: readonly string[],
  code: ErrorCode,
  write: (group: WriteGroup) => Promise<Iterable<string>>,
): Promise<void> {
  const touched = touchedDirectories(plan);
  const { turned, fileCount } = summaryOf(plan);
  let group: WriteGroup | undefined;
  try {
    const steady = touched.map((directory) => steadyDirectory(turned, directory));
    group = await openWriteGroup(files, [...others, ...steady], fileCount);
    const written = await write(group);
    await group.sync(new Set([...(await standingDirectories(files, turned, touched)), ...written]));
  } catch (thrown) {
    throw asUpdateError(thrown, code, 'making what was written durable');
  } finally {
    await group?.close();
  }
}
