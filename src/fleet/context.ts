/** What the parts of the fleet's client share, and what it is told by the configuration. */

import type { HistoryEntry } from '../history.ts';
import type { Host } from '../host/host.ts';
import type { OrderedCommands, Updater } from '../updater/state.ts';
import type { Exchange } from './exchange.ts';
import type { Remembered, Server } from './memory.ts';

export interface FleetOptions extends Server {
  /** File with the token; undefined: the client certificate says who we are. */
  readonly tokenFile: string | undefined;
  readonly tokenKind: 'target' | 'gateway';
  readonly attributes: Readonly<Record<string, string>>;
  /** Installs that the server leaves to the device wait for somebody's consent. */
  readonly asksConsent: boolean;
  /** Questions of the server are answered with yes by the device itself. */
  readonly confirms: boolean;
  /** Name of the distribution sets, to tell what was installed locally; undefined: it is not told. */
  readonly setName: string | undefined;
  readonly updaterVersion: string;
  readonly deviceType: string | undefined;
  readonly workDirectory: string;
}

/** The updater as the client drives it. */
export type Driven = OrderedCommands & Pick<Updater, 'progress' | 'history' | 'auditState'>;

export interface FleetContext {
  readonly host: Host;
  readonly options: FleetOptions;
  readonly url: URL;
  /** See nameOf. */
  readonly tag: string;
  readonly remembered: Remembered;
  readonly exchange: Exchange;
  readonly updater: () => Driven;
}

/** Newest last, and what runs; undefined where nothing was ever installed by the updater. */
export async function pastOf(
  updater: Pick<Updater, 'history'>,
): Promise<{ history: readonly HistoryEntry[]; installed: string | undefined }> {
  const history = [...(await updater.history())].reverse();
  const version = history.findLast(({ outcome }) => outcome === 'success')?.version;
  return { history, installed: version ?? undefined };
}
