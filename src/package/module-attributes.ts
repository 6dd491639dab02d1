/** What a module says of its files' capabilities and other extended attributes. Pure. Spec section 10. */
import { matchesAny } from '../glob.ts';
import type { ReleaseFile } from '../release.ts';
import { invalidManifest as invalid } from './manifest.ts';
import type { ManifestModule } from './manifest-schema.ts';
import { quoted } from './path-fault.ts';

type Stated = Pick<ReleaseFile, 'capabilities' | 'dropsAttributes'>;

export interface ModuleAttributes {
  /** Of one file; `path` is below the module's target, undefined where the module is that file. The first pattern that matches counts. */
  of(path: string | undefined): Stated;
  /** Throws INVALID_MANIFEST where a pattern has matched none of the files that were asked for. `place`: the module in the manifest. */
  checkAllUsed(place: string): void;
}

export function moduleAttributes({ capabilities, xattrs }: ManifestModule): ModuleAttributes {
  const dropped = xattrs === 'drop' ? { dropsAttributes: true as const } : {};
  const patterns = typeof capabilities === 'object' ? Object.entries(capabilities) : [];
  const unused = new Set(patterns.map(([pattern]) => pattern));
  return {
    of(path) {
      if (path === undefined)
        return typeof capabilities === 'string' ? { ...dropped, capabilities } : dropped;
      const matching = patterns.filter(([pattern]) => matchesAny([pattern], path));
      for (const [pattern] of matching) unused.delete(pattern);
      const [first] = matching;
      return first === undefined ? dropped : { ...dropped, capabilities: first[1] };
    },
    checkAllUsed(place) {
      const [pattern] = unused;
      if (pattern !== undefined)
        throw invalid(`${place}.capabilities: no file of the package matches ${quoted(pattern)}`);
    },
  };
}
