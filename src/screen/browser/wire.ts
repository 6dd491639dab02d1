/** What the page hears, as on the wire. Compiled for a browser it cannot import the API's schemas: test/screen/face.test.ts compares them. */

export type Stage =
  | 'idle'
  | 'downloading'
  | 'verifying'
  | 'toInstall'
  | 'installing'
  | 'rebooting'
  | 'success'
  | 'failed';

export type Kind = 'update' | 'rollback' | 'repair';

/** An event; GET /progress tells the first four only. */
export interface State {
  readonly stage: Stage;
  readonly progress: number;
  readonly message: string;
  readonly error: string | null;
  readonly kind?: Kind | null;
  readonly version?: string | null;
  readonly module?: string | null;
  readonly bytes?: number;
  readonly total_bytes?: number;
  readonly bytes_per_second?: number | null;
  readonly download?: { readonly bytes_reused: number } | null;
}

/** An entry of the history. */
export interface Past {
  readonly kind: Kind;
  readonly version: string | null;
  readonly previous_version: string | null;
  readonly ended_at: string;
  readonly outcome: 'success' | 'failed';
  readonly error: string | null;
  readonly modules: readonly string[];
  /** Version of the updater that ended it; absent in entries of 0.1.0. */
  readonly updater?: string | undefined;
}

/** One text, or texts by language. */
export type Notes = string | Readonly<Record<string, string>>;

/** What GET /versions answers. */
export interface Versions {
  readonly installed: {
    readonly version: string | null;
    readonly modules: readonly { readonly name: string; readonly version: string | null }[];
    readonly notes: Notes | null;
  };
  readonly waiting: { readonly version: string; readonly notes: Notes | null } | null;
}

/** The envelope of every answer. */
export interface Reply {
  readonly code: number;
  readonly msg: string;
  readonly data?: unknown;
}

/** What the page may offer (option `screen_actions`). */
export type Action = 'rollback' | 'install' | 'cancel' | 'consent';
