/** What of the device an entry of a package can be made of. */
import type { TailEntry } from '../zip/tail.ts';

export type Source =
  /** A file with the entry's content. */
  | { readonly kind: 'file'; readonly path: string }
  /** A file of which the patch, an entry that the partial file holds already, makes the content. */
  | {
      readonly kind: 'patched';
      readonly path: string;
      readonly oldBytes: number;
      readonly patch: TailEntry;
    }
  /** The packed bytes stand in another package, at `position`. */
  | {
      readonly kind: 'packed';
      readonly path: string;
      readonly position: number;
      readonly isFramed: boolean;
    };

/** Whether its header and what follows the data are made, too, as they are foretold. */
export function isFramed(source: Source): boolean {
  return source.kind !== 'packed' || source.isFramed;
}
