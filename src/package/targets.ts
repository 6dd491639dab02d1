/** Where modules may be deployed to, as far as paths alone can tell (symlinks of the device: deploy/). Pure. Spec section 4. */
import { besideEdited } from '../release.ts';
import { invalidManifest } from './manifest.ts';
import { withoutSlash } from './manifest-fields.ts';
import { quoted } from './path-fault.ts';
import type { PlacedModule } from './self-module.ts';

export interface TargetRules {
  /** Absolute paths, symlinks resolved, in their shortest form. */
  readonly allowedRoots: readonly string[];
  /** The updater's own directory, likewise. */
  readonly workDirectory: string;
}

/** No name or target twice, each inside an allowed root, apart from the work directory and the others. INVALID_MANIFEST names the field. */
export function checkTargets(modules: readonly PlacedModule[], rules: TargetRules): void {
  const names = new Map<string, number>();
  const targets = new Map<string, number>();
  modules.forEach((module, index) => {
    const target = withoutSlash(module.dst);
    const sameName = names.get(module.name);
    if (sameName !== undefined)
      throw invalidManifest(
        `modules[${index}].name: ${quoted(module.name)} is also the name of modules[${sameName}]`,
      );
    const sameTarget = targets.get(target);
    if (sameTarget !== undefined)
      throw invalidManifest(
        `modules[${index}].dst: ${quoted(target)} is also the dst of modules[${sameTarget}]`,
      );
    names.set(module.name, index);
    targets.set(target, index);
  });
  for (const [target, index] of targets) {
    // The updater's own place is the device's word.
    const own = modules[index]?.self === true ? undefined : targetFault(target, rules);
    const fault = own ?? nestingFault(target, targets) ?? besideFault(modules[index], targets);
    if (fault !== undefined) throw invalidManifest(`modules[${index}].dst: ${quoted(target)} ${fault}`);
  }
}

function targetFault(target: string, { allowedRoots, workDirectory }: TargetRules): string | undefined {
  if (!allowedRoots.some((root) => isInside(target, root))) {
    return allowedRoots.includes(target)
      ? 'is an allowed root itself; only what lies inside it can be deployed'
      : `is outside the allowed roots (${allowedRoots.join(', ')})`;
  }
  if (target === workDirectory || isInside(target, workDirectory))
    return `is inside the updater's work directory ${workDirectory}`;
  if (isInside(workDirectory, target)) return `contains the updater's work directory ${workDirectory}`;
  return undefined;
}

function nestingFault(target: string, targets: ReadonlyMap<string, number>): string | undefined {
  const parent = parents(target).find((path) => targets.has(path));
  return parent === undefined ? undefined : `is inside ${quoted(parent)}, the dst of another module`;
}

function besideFault(
  module: PlacedModule | undefined,
  targets: ReadonlyMap<string, number>,
): string | undefined {
  if (module?.config !== true) return undefined;
  const beside = besideEdited(withoutSlash(module.dst));
  const other = [...targets.keys()].find((target) => target === beside || isInside(target, beside));
  return other === undefined
    ? undefined
    : `is a file that people edit: where it is edited, the new one is put beside it as ${quoted(beside)}, where ${quoted(other)}, the dst of another module, is`;
}

/** True when `path` lies below `root`, both in their shortest form. */
function isInside(path: string, root: string): boolean {
  return path.length > root.length && path.startsWith(root.endsWith('/') ? root : `${root}/`);
}

/** `a/b/c` -> `a/b`, `a`; of absolute and relative paths, the root left out. */
export function parents(path: string): string[] {
  const found: string[] = [];
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
    found.push(path.slice(0, slash));
  return found;
}
