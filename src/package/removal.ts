/** Modules that a package takes from the device: `remove` names them, `complete` means all that it does not bring. Pure. Spec section 10. */
import type { Release } from '../release.ts';
import { invalidManifest as invalid } from './manifest.ts';
import type { Manifest } from './manifest-schema.ts';
import { quoted } from './path-fault.ts';

/** What goes, as a part of the release. Throws INVALID_MANIFEST where a module would come and go, or nothing is asked for at all. */
export function removalOf({
  modules,
  remove = [],
  complete = false,
}: Pick<Manifest, 'remove' | 'complete'> & {
  readonly modules: readonly { readonly name: string }[];
}): Pick<Release, 'remove' | 'complete'> {
  if (modules.length === 0 && remove.length === 0)
    throw invalid(
      complete
        ? 'complete: without modules it would take everything away; name what goes under remove'
        : 'modules: must name at least one module',
    );
  const coming = new Map(modules.map(({ name }, index) => [name, index]));
  const seen = new Map<string, number>();
  remove.forEach((name, index) => {
    const comes = coming.get(name);
    if (comes !== undefined)
      throw invalid(`remove[${index}]: ${quoted(name)} is also the name of modules[${comes}]`);
    const before = seen.get(name);
    if (before !== undefined) throw invalid(`remove[${index}]: ${quoted(name)} is remove[${before}] already`);
    seen.set(name, index);
  });
  return { ...(remove.length > 0 && { remove }), ...(complete && { complete }) };
}
