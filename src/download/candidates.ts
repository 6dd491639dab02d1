/** What the device has of a package already, as the updater tells it. Types only. */

/** A file that an earlier update deployed. It may have changed since: nothing of it is believed before it was compared. */
export interface DeployedCandidate {
  readonly path: string;
  readonly sizeBytes: number;
  readonly crc32: number;
  /** Lower-case hex, where the package told it. */
  readonly sha256: string | undefined;
}

export interface Candidates {
  /** One after another: there may be many. */
  deployed(): AsyncIterable<DeployedCandidate>;
  /** The package of the installed version, where it is kept. */
  readonly keptPackage: string | undefined;
}
