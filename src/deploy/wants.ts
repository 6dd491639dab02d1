/** What a release asks of the disk, as the list of wants that the plan is made from. */
import { capability } from '../attribute-kinds.ts';
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { FileOwner } from '../host/host.ts';
import { loadPacking } from '../packed-list.ts';
import type { Release, ReleaseFile, ReleaseModule } from '../release.ts';
import type { FileWant, Want } from './want.ts';

/** An existing tree that a module takes over; see extras.ts. */
export interface Tree {
  readonly module: string;
  readonly root: string;
  readonly exact: boolean;
  /** Patterns below the root: never removed. */
  readonly keep: readonly string[];
  /** Patterns below the root: what people edit. */
  readonly config: readonly string[];
}

/** What the modules of a release ask for. */
export interface Wanted {
  readonly directories: readonly Want[];
  /** Made anew each time that they are gone through. */
  readonly files: Iterable<FileWant>;
  readonly trees: readonly Tree[];
}

/** `resolve`: a module's path without symlinks, `root` its target; `ownerOf`: ids of "user:group". INVALID_MANIFEST where two modules meet. */
export async function wantsOfRelease(
  { modules }: Release,
  resolve: (path: string, root: string) => string,
  ownerOf: (owner: string) => FileOwner,
): Promise<Wanted> {
  const ownerOfModule = ({ owner }: ReleaseModule) => (owner === undefined ? undefined : ownerOf(owner));
  const wanted: Wanted = {
    directories: modules.flatMap((module) => {
      const owner = ownerOfModule(module);
      return module.directories.map((path): Want => {
        return {
          kind: 'directory',
          module: module.name,
          target: resolve(path, module.target),
          mode: undefined,
          owner,
        };
      });
    }),
    files: {
      *[Symbol.iterator]() {
        for (const module of modules) {
          const owner = ownerOfModule(module);
          for (const file of module.files)
            yield wantOf(module.name, file, resolve(file.target, module.target), owner);
        }
      },
    },
    trees: modules
      .filter((module) => module.isTree)
      .map(({ name, target, exact, keep, config }) => ({
        ...{ module: name, root: resolve(target, target) },
        ...{ exact, keep, config },
      })),
  };
  // What is in one module alone meets nobody.
  if (modules.length > 1) await refuseMeetings(wanted);
  return wanted;
}

function wantOf(module: string, file: ReleaseFile, target: string, owner: FileOwner | undefined): FileWant {
  const { entry, sizeBytes, mode, modeIsForced, md5, sha256, crc32, whenThere, link } = file;
  const { capabilities, dropsAttributes } = file;
  const attributes = {
    ...(capabilities !== undefined && { attributes: { [capability]: capabilities } }),
    ...(dropsAttributes && { dropsAttributes }),
  };
  const content = { source: entry, sizeBytes, md5, sha256, crc32, link };
  return { kind: 'file', module, target, ...content, mode, modeIsForced, owner, whenThere, ...attributes };
}

async function refuseMeetings({ directories, files, trees }: Wanted): Promise<void> {
  const moduleAt = (await loadPacking()).map<string>();
  const refuse = ({ target, module }: Want): void => {
    const other = moduleAt.get(target);
    if (other !== undefined) throw meeting(other, module, target);
    moduleAt.set(target, module);
    const tree = trees.find((each) => each.module !== module && target.startsWith(`${each.root}/`));
    if (tree) throw meeting(tree.module, module, target);
  };
  for (const want of directories) refuse(want);
  for await (const want of breathing(files)) refuse(want);
}

function meeting(a: string, b: string, path: string): UpdateError {
  return new UpdateError('INVALID_MANIFEST', `modules "${a}" and "${b}" both lead to ${path}`);
}
