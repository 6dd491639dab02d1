/** Modules whose `dst` is another than that of the record: what stands at the old place is nobody's any more. It stays, and is told. */
import { errno } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';
import type { ReleaseModule } from '../release.ts';
import type { Recorded } from './recorded.ts';
import type { StayingFiles } from './staying.ts';
import { placeAbove } from './turned.ts';

/** `roots`: where each module goes, resolved, by its target. Reads only. Rejects with a system error. */
export async function tellMoved(
  { files, log }: Pick<Host, 'files' | 'log'>,
  modules: readonly ReleaseModule[],
  roots: ReadonlyMap<string, string>,
  recorded: Recorded,
  staying: StayingFiles,
): Promise<void> {
  const coming = new Set(roots.values());
  for (const { name, target, isSelf } of modules) {
    const before = recorded.modules.get(name)?.place;
    const now = roots.get(target) ?? target;
    // What another module of the package, or this one, has there now is its own matter.
    if (isSelf === true || before === undefined || placeAbove(coming, before) !== undefined) continue;
    const stands = await realPath(files, before);
    if (stands === undefined || stands === now) continue;
    staying.add(name, 'moved', before);
    log.warn(
      `module "${name}" goes to ${now} now: what earlier updates put to ${before} stays there, and no package knows of it any more`,
    );
  }
}

/** Undefined: nothing is there. A directory that somebody has moved, with a symlink in its place, is where it leads to. */
async function realPath(files: Files, path: string): Promise<string | undefined> {
  try {
    return await files.realPath(path);
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return undefined;
  }
}
