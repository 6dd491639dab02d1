/** The module that replaces the updater itself (`"self": true`): which file of the package it is here, and where it goes. Pure. Spec section 14. */
import { UpdateError } from '../errors.ts';
import { invalidManifest as invalid } from './manifest.ts';
import { withoutSlash } from './manifest-fields.ts';
import type { ManifestModule } from './manifest-schema.ts';
import { quoted } from './path-fault.ts';

/** Where the device has its updater, and for which architecture; or why no package may replace it. */
export type SelfRule =
  | {
      readonly path: string;
      /** Undefined: the package is only looked at, each architecture will do. */
      readonly arch: string | undefined;
    }
  | { readonly refusal: string };

/** For a package that is only looked at: the updater of whatever device, where install.sh puts it. */
export const anySelf = { path: '/opt/tope/updater/tope-updater', arch: undefined } satisfies SelfRule;

/** A module whose place is known. */
export type PlacedModule = ManifestModule & { readonly dst: string };

/** What such a module can say beside its name, its source, and what its file is. */
const allowedKeys: readonly string[] = ['name', 'src', 'self', 'size', 'md5', 'sha256'];

/** Gives every module its `dst`. Throws INVALID_MANIFEST, or INCOMPATIBLE where the device takes no updater from packages, or has none here. */
export function placeModules(
  modules: readonly ManifestModule[],
  entryNames: ReadonlySet<string>,
  rule: SelfRule,
): PlacedModule[] {
  const first = modules.findIndex((module) => module.self === true);
  return modules.map((module, index) => {
    const place = `modules[${index}]`;
    if (module.self === true) {
      if (index !== first) throw invalid(`${place}.self: modules[${first}] is the updater already`);
      return placeSelf(module, place, entryNames, rule);
    }
    const { dst } = module;
    if (dst === undefined) throw invalid(`${place}.dst: is missing`);
    return { ...module, dst };
  });
}

/** The name of the executable in a release, and in the directory of a `self` module. */
export function executableName(arch: string): string {
  return `tope-updater-${arch}`;
}

function placeSelf(
  module: ManifestModule,
  place: string,
  entryNames: ReadonlySet<string>,
  rule: SelfRule,
): PlacedModule {
  const extra = Object.entries(module).find(
    ([key, value]) => value !== undefined && !allowedKeys.includes(key),
  );
  if (extra !== undefined)
    throw invalid(
      `${place}.${extra[0]}: is not for the updater itself, whose place and start the device knows`,
    );
  if ('refusal' in rule) throw new UpdateError('INCOMPATIBLE', `${place}.self: ${rule.refusal}`);
  const source = withoutSlash(module.src);
  const placed = { ...module, dst: rule.path };
  if (entryNames.has(source)) return { ...placed, mode: 0o755 };
  if (rule.arch === undefined) return placed;
  const own = `${source}/${executableName(rule.arch)}`;
  if (!entryNames.has(own))
    throw new UpdateError(
      'INCOMPATIBLE',
      `${place}.src: the package has no ${quoted(own)}, and this device's updater is one for ${rule.arch}`,
    );
  return { ...placed, src: own, mode: 0o755 };
}
