/** What the updater is told by the configuration. Paths are absolute. */
import type { OwnExecutable } from './deploy/probation.ts';
import type { TrustedKey } from './package/signature.ts';

export interface Settings {
  readonly workDirectory: string;
  readonly allowedRoots: readonly string[];
  /** What the updater itself consists of outside of its work directory: no package touches it, nor what lies below. */
  readonly ownPaths?: readonly string[] | undefined;
  /** Undefined: not started by its launcher, so that no package can replace it. */
  readonly executable?: OwnExecutable | undefined;
  /** The tree is no running device, see TransactionContext. */
  readonly isImage?: true;
  /** The program's own, for the history. */
  readonly version?: string | undefined;
  readonly allowHttp: boolean;
  readonly guiPath: string;
  /** With at least one, only signed packages are installed. */
  readonly trustedKeys: readonly TrustedKey[];
  /** What this device is, for packages that name device types. */
  readonly deviceType: string | undefined;
  /** What Authorization a URL is asked with that brings none of its own; undefined: none. */
  readonly authorizationFor?: ((url: URL) => Promise<string | undefined>) | undefined;
  /** Bandwidth limit of downloads, bytes per second. */
  readonly bytesPerSecond: number | undefined;
  /** The verified package stays after its install, for a repair. */
  readonly keepPackage: boolean;
  /** How often files are compared with what was deployed, in ms; undefined: when somebody asks. */
  readonly auditIntervalMs: number | undefined;
  /** Bound of one download, in ms. */
  readonly downloadDeadlineMs: number | undefined;
  /** Bytes of a package that the device has already are not fetched. */
  readonly adaptiveDownload: boolean;
  /** How long a download that a start takes up again waits where nobody answers, in ms. */
  readonly networkWaitMs: number;
}
