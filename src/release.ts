/** What an update consists of, as plain data: made by package/ from a verified ZIP, read by deploy/ and services/, which meet here alone. */

import type { Notes } from './notes.ts';
import type { List } from './packed-list.ts';

/** One regular file, or symlink, that a module deploys. */
export interface ReleaseFile {
  /** Name of the ZIP entry that holds the content. */
  readonly entry: string;
  /** Absolute path of the file on the device. */
  readonly target: string;
  readonly sizeBytes: number;
  /** Permission bits (0o7777) from the manifest, else from the ZIP; undefined: neither says. */
  readonly mode: number | undefined;
  /** True when `mode` is the manifest's word and outranks the mode of the file that is replaced. */
  readonly modeIsForced: boolean;
  /** Lower-case hex, where the manifest gives them. */
  readonly md5: string | undefined;
  readonly sha256: string | undefined;
  /** Of the ZIP entry. */
  readonly crc32?: number | undefined;
  readonly whenThere: WhenThere;
  /** Of a symlink: where it leads to, relative to its directory and inside the module's tree. */
  readonly link?: string | undefined;
  /** Of a program: their value (capabilities.ts), where the manifest states them. */
  readonly capabilities?: string | undefined;
  /** What a replaced file has of extended attributes does not go over to it. */
  readonly dropsAttributes?: true | undefined;
}

/** What becomes of a file that is there: replaced; kept if somebody has edited it, the new one beside it (`config`); or always kept (`keep`). */
export type WhenThere = 'replace' | 'config' | 'keep';

/** Where the package's own of an edited file is put: that beside it. */
export const besideSuffix = '.new';

export function besideEdited(target: string): string {
  return target + besideSuffix;
}

/** What a module runs around the switch, as command lines, the program by its absolute path. */
export interface ModuleCommands {
  /** After the switch, before any service of the update starts; each must end with status 0. */
  readonly beforeStart: readonly (readonly string[])[];
  /** After the files are back, where one of `beforeStart` had begun; may fail. */
  readonly onUndo: readonly (readonly string[])[];
  /** Bound of each. */
  readonly timeoutMs: number;
}

/** How a service is checked after its start; `timeoutMs` bounds the whole check. */
export type HealthCheck =
  | { readonly kind: 'http'; readonly url: string; readonly timeoutMs: number }
  | { readonly kind: 'tcp'; readonly port: number; readonly timeoutMs: number }
  | { readonly kind: 'exec'; readonly argv: readonly string[]; readonly timeoutMs: number };

/** What the manifest says of the process behind a module. */
export interface ServiceSpec {
  readonly module: string;
  readonly processName: string | undefined;
  /** Lower starts first; undefined starts last (FR-014). */
  readonly restartOrder: number | undefined;
  /** A systemd unit named by the manifest. */
  readonly unit: string | undefined;
  /** Command line of a plain process, argv[0] absolute. */
  readonly start: readonly string[] | undefined;
  readonly health: HealthCheck | undefined;
  /** The unit is enabled and started, also where it was disabled or stopped. */
  readonly enable?: boolean | undefined;
  /** `always`: restarted also by an update that changes nothing of it. */
  readonly restart?: 'always' | undefined;
}

export interface ReleaseModule {
  readonly name: string;
  /** Absolute destination: a file, or the root of a tree when `isTree`. */
  readonly target: string;
  /** The updater's own executable. */
  readonly isSelf?: true;
  /** True when `src` named a directory. */
  readonly isTree: boolean;
  readonly files: List<ReleaseFile>;
  /** Absolute paths of the tree's directories, parents first, `target` included; empty for a single file. */
  readonly directories: readonly string[];
  /** "user", "user:group", or numeric ids, from the manifest. */
  readonly owner: string | undefined;
  /** Of a tree: what stands below `target` and is not in the package goes, whoever put it there. */
  readonly exact: boolean;
  /** Patterns (glob.ts) over paths below `target`, of a tree: what matches `keep` is never replaced and never removed. */
  readonly config: readonly string[];
  readonly keep: readonly string[];
  /** Undefined: it runs none. */
  readonly commands: ModuleCommands | undefined;
  readonly service: ServiceSpec;
}

/** A whole update: every module, and the conditions the manifest sets. */
export interface Release {
  readonly version: string;
  readonly modules: readonly ReleaseModule[];
  readonly compatible: readonly string[] | undefined;
  readonly minVersion: string | undefined;
  readonly reboot: boolean;
  readonly notes?: Notes;
  /** Names of modules that go, where an earlier update has deployed them; `complete`: and all that are not in `modules`. */
  readonly remove?: readonly string[];
  readonly complete?: true;
}
