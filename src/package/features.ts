/**
 * What a package may ask of an updater, by name (`requires`): where an older one that ignores a key would do harm, it refuses
 * the package instead. Pure. Spec section 10.
 */
import { UpdateError } from '../errors.ts';
import { printable } from './path-fault.ts';

/** Those of this updater. */
export const features = [
  'exact',
  'config',
  'keep',
  'commands',
  'files',
  'enable',
  'restart',
  'symlinks',
  'self',
  'capabilities',
  'xattrs',
  'remove',
] as const;

export type Feature = (typeof features)[number];

/** Throws INCOMPATIBLE naming what this updater does not know. `raw` is the parsed JSON; what is no list of names is left to the schema. */
export function checkRequires(raw: unknown): void {
  const requires = typeof raw === 'object' && raw !== null && 'requires' in raw ? raw.requires : undefined;
  if (!Array.isArray(requires)) return;
  const known: readonly unknown[] = features;
  const unknown = requires.filter((name) => typeof name === 'string' && !known.includes(name));
  if (unknown.length === 0) return;
  const names = unknown.map((name) => `"${printable(String(name))}"`).join(', ');
  throw new UpdateError(
    'INCOMPATIBLE',
    `the package requires ${names}, which this updater does not know: update the updater first`,
  );
}

/** What a manifest asks for that an updater must not ignore. `manifest` as written. */
export function featuresUsed(manifest: {
  readonly modules: readonly Readonly<Record<string, unknown>>[];
  readonly files?: unknown;
  readonly links?: unknown;
  readonly remove?: unknown;
  readonly complete?: unknown;
}): Feature[] {
  const has = (...keys: string[]) =>
    manifest.modules.some((module) => keys.some((key) => module[key] !== undefined && module[key] !== false));
  const used: Readonly<Record<Feature, boolean>> = {
    exact: has('exact'),
    config: has('config'),
    keep: has('keep'),
    commands: has('before_start', 'post_cmds'),
    files: typeof manifest.files === 'object' && !Array.isArray(manifest.files),
    enable: has('enable'),
    restart: has('restart'),
    symlinks: Array.isArray(manifest.links) && manifest.links.length > 0,
    self: has('self'),
    capabilities: has('capabilities'),
    xattrs: has('xattrs'),
    remove: manifest.remove !== undefined || manifest.complete === true,
  };
  return features.filter((feature) => used[feature]);
}
