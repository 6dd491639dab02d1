/** What a replaced file has beside its bytes, mode and owner, and its successor will not have: said before the update. */
import { breathing } from '../host/breathing.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { Facts, FileWant } from './make-plan.ts';

/** Of a name of xattr(7) in words; undefined: it is the system's own affair (labels of a security module). */
function inWords(name: string): string | undefined {
  if (name === 'security.capability') return 'capabilities (setcap)';
  if (name === 'system.posix_acl_access') return 'an access list (ACL)';
  return name.startsWith('user.') ? `the attribute ${name}` : undefined;
}

/** All that a log has room for by name. */
const filesShown = 20;

/** `wants`: what will be put; `found`: what stands at its targets. */
export async function warnOfLostAttributes(
  { files, log }: Pick<Host, 'files' | 'log'>,
  wants: Iterable<FileWant>,
  found: Facts['found'],
): Promise<void> {
  const lost: string[] = [];
  const look = async (targets: readonly string[]): Promise<void> => {
    for (const [target, names] of await files.attributeNames(targets)) {
      const words = names.flatMap((name) => inWords(name) ?? []);
      if (words.length > 0) lost.push(`${target} has ${words.join(' and ')}`);
    }
  };
  let replaced: string[] = [];
  for await (const { target, stands } of breathing(wants)) {
    if (stands || found.get(target)?.kind !== 'file') continue;
    replaced.push(target);
    if (replaced.length < limits.attributePaths) continue;
    await look(replaced);
    replaced = [];
  }
  if (replaced.length > 0) await look(replaced);
  const more = lost.length > filesShown ? ` (and ${lost.length - filesShown} more files)` : '';
  for (const text of lost.slice(0, filesShown))
    log.warn(`${text}, which what replaces it will not have${more}: give it anew in before_start`);
}
