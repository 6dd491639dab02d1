/** What a release, a rollback or a repair wants of the disk, and what planning must know of it. */
import type { Attributes, FileOwner } from '../host/host.ts';
import type { WhenThere } from '../release.ts';
import type { Seal } from '../seal.ts';
import type { Found } from './findings.ts';

export interface FileWant {
  readonly kind: 'file';
  readonly module: string;
  readonly target: string;
  readonly source: string;
  readonly sizeBytes: number;
  readonly mode: number | undefined;
  /** The wanted mode outranks the one of the file that is replaced. */
  readonly modeIsForced: boolean;
  readonly owner: FileOwner | undefined;
  readonly md5: string | undefined;
  readonly sha256: string | undefined;
  /** Of the package's entry. */
  readonly crc32?: number | undefined;
  readonly seal?: Seal | undefined;
  readonly whenThere?: WhenThere;
  /** The package's own, beside one that somebody has edited. */
  readonly isBeside?: true;
  /** A symlink is wanted, that leads to there. */
  readonly link?: string | undefined;
  /** Its bytes stand there already: it gets a step only where mode or owner differ. */
  readonly stands?: boolean;
  /** Extended attributes that are stated, by the manifest or by the record: they outrank those of the file that is replaced. */
  readonly attributes?: Attributes | undefined;
  /** It is to have none but those. */
  readonly dropsAttributes?: boolean | undefined;
}

/** The extended attributes that a file is to have (carried-attributes.ts). */
export interface WantedAttributes {
  readonly values: Attributes;
  /** What stands has others than the package states. */
  readonly isOther: boolean;
}

/** One thing that shall be so when the transaction is committed. */
export type Want =
  | FileWant
  | {
      readonly kind: 'directory';
      readonly module: string;
      readonly target: string;
      readonly mode: number | undefined;
      readonly owner: FileOwner | undefined;
    }
  | AbsentWant;

/** What stands there goes. */
export interface AbsentWant {
  readonly kind: 'absent';
  readonly module: string;
  readonly target: string;
}

/** What planning must know of the disk: made by survey.ts. */
export interface Facts {
  /** Of every wanted path and every directory above it that may be missing; undefined: nothing is there. */
  readonly found: { get(path: string): Found | undefined };
  /** Wanted places that change their kind, see turned.ts. */
  readonly turned: ReadonlySet<string>;
  /** Wanted paths at which something is found by a name in another case only; see folded.ts. */
  readonly otherCases: ReadonlySet<string>;
  /** No two wanted paths are the same but for upper and lower case. */
  readonly foldsApart?: boolean;
  /** Missing directories above wanted paths, parents first. */
  readonly missingParents: readonly string[];
  /** Whose they are to be, where not the updater's. */
  readonly parentOwners?: ReadonlyMap<string, FileOwner>;
  /** Of the files that are to have extended attributes; absent: none is. */
  readonly attributes?: { get(path: string): WantedAttributes | undefined };
  /** The updater's own ids: what new files belong to unless something says otherwise. */
  readonly self: FileOwner;
}
