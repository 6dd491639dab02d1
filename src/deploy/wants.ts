/** What a release asks of the disk, as the list of wants that the plan is made from. Pure. */
import { UpdateError } from '../errors.ts';
import type { FileOwner } from '../host/host.ts';
import type { Release, ReleaseModule } from '../release.ts';
import type { Want } from './make-plan.ts';

/** An existing tree that a module takes over; see extras.ts. */
export interface Tree {
  readonly module: string;
  readonly root: string;
  readonly exact: boolean;
  /** Patterns below the root: never removed. */
  readonly keep: readonly string[];
}

/**
 * `resolve` turns a manifest's path into the one without symlinks; `ownerOf` turns "user:group" into ids. Throws
 * INVALID_MANIFEST where two modules meet at one place only after resolving.
 */
export function wantsOfRelease(
  release: Release,
  resolve: (path: string) => string,
  ownerOf: (owner: string) => FileOwner,
): { wants: Want[]; trees: Tree[] } {
  const wants = release.modules.flatMap((module) => wantsOfModule(module, resolve, ownerOf));
  const trees = release.modules
    .filter((module) => module.isTree)
    .map(({ name, target, exact, keep }) => ({ module: name, root: resolve(target), exact, keep }));
  refuseMeetings(wants, trees);
  return { wants, trees };
}

function wantsOfModule(
  module: ReleaseModule,
  resolve: (path: string) => string,
  ownerOf: (owner: string) => FileOwner,
): Want[] {
  const owner = module.owner === undefined ? undefined : ownerOf(module.owner);
  const directories = module.directories.map(
    (path): Want => ({
      kind: 'directory',
      module: module.name,
      target: resolve(path),
      mode: undefined,
      owner,
    }),
  );
  const files = module.files.map(
    (file): Want => ({
      kind: 'file',
      module: module.name,
      target: resolve(file.target),
      source: file.entry,
      sizeBytes: file.sizeBytes,
      mode: file.mode,
      modeIsForced: file.modeIsForced,
      owner,
      md5: file.md5,
      sha256: file.sha256,
      whenThere: file.whenThere,
      ...(file.link !== undefined && { link: file.link }),
    }),
  );
  return [...directories, ...files];
}

function refuseMeetings(wants: readonly Want[], trees: readonly Tree[]): void {
  const moduleAt = new Map<string, string>();
  for (const want of wants) {
    const other = moduleAt.get(want.target);
    if (other !== undefined) throw meeting(other, want.module, want.target);
    moduleAt.set(want.target, want.module);
    const tree = trees.find(
      ({ module, root }) => module !== want.module && want.target.startsWith(`${root}/`),
    );
    if (tree) throw meeting(tree.module, want.module, want.target);
  }
}

function meeting(a: string, b: string, path: string): UpdateError {
  return new UpdateError('INVALID_MANIFEST', `modules "${a}" and "${b}" both lead to ${path}`);
}
