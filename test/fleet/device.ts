/** A whole device (integration/harness.ts) that belongs to a fleet: the built daemon, and a scripted DDI server. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FleetState } from '../../src/updater/fleet-state.ts';
import type { ActionState, Assignment } from '../fixtures/ddi-model.ts';
import { type DdiServer, type DdiServerOptions, startDdiServer } from '../fixtures/ddi-server.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { type Daemon, until } from '../integration/daemon.ts';
import { type Device, withDevice } from '../integration/harness.ts';

export const token = 'TOKEN-0123456789abcdef';

export interface FleetDevice extends Device {
  readonly server: DdiServer;
  /** Starts the daemon as a member of the fleet. */
  join(flags?: readonly string[], environment?: Record<string, string | undefined>): Promise<Daemon>;
  /** Puts a package on the server and orders it; gives the order's id. */
  order(spec: PackageSpec, assignment?: Partial<Assignment>): Promise<string>;
  /** Waits until the order is in that state on the server. */
  ends(daemon: Daemon, id: string, state: ActionState): Promise<readonly string[]>;
}

export async function withFleet(
  use: (device: FleetDevice) => Promise<void>,
  options: DdiServerOptions = {},
): Promise<void> {
  await withDevice(async (device) => {
    const server = await startDdiServer({ authorization: `TargetToken ${token}`, ...options });
    const tokenFile = join(device.folder, 'token');
    writeFileSync(tokenFile, `${token}\n`);
    chmodSync(tokenFile, 0o600);
    const fleet: FleetDevice = {
      ...device,
      server,
      join: async (flags = [], environment) => {
        const daemon = await device.start(
          ['--fleet-url', server.url, '--fleet-id', 'dev-1', '--fleet-token-file', tokenFile, ...flags],
          environment,
        );
        await askFleet(daemon, { poll: true });
        return daemon;
      },
      order: async (spec, assignment = {}) => {
        const request = await device.offer(spec);
        server.files.set(
          request.package_name,
          readFileSync(join(device.folder, 'store', request.package_name)),
        );
        const modules = [{ name: 'printer', version: spec.version, files: [request.package_name] }];
        return server.ddi.assign({ modules, ...assignment });
      },
      ends: async (daemon, id, state) => {
        await until(
          () =>
            `order ${id} ${state}; it is ${JSON.stringify(server.ddi.action(id))}\n${server.log().join('\n')}\n${daemon.printed()}`,
          async () => {
            if (server.ddi.action(id).state === state) return true;
            await askFleet(daemon, { poll: true }).catch(() => undefined);
            await new Promise((resolve) => setTimeout(resolve, 80));
            return false;
          },
        );
        return server.ddi.action(id).told;
      },
    };
    try {
      await use(fleet);
    } catch (thrown) {
      console.log(server.log().join('\n'));
      throw thrown;
    } finally {
      await server.close();
    }
  });
}

/** Waits until the server was told these attributes. */
export async function tells(device: FleetDevice, attributes: Record<string, string>): Promise<void> {
  await until(
    () =>
      `attributes ${JSON.stringify(attributes)}; they are ${JSON.stringify(device.server.ddi.state.attributes)}`,
    () =>
      Object.entries(attributes).every(([key, value]) => device.server.ddi.state.attributes[key] === value),
  );
}

export interface FleetReply {
  readonly code: number;
  readonly msg: string;
  readonly data: FleetState;
}

/** POST /fleet, or GET without a body. */
export async function askFleet(daemon: Daemon, body?: object): Promise<FleetReply> {
  const post = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
  const response = await fetch(`${daemon.url}/api/v1.0/fleet`, body === undefined ? {} : post);
  return (await response.json()) as FleetReply;
}
