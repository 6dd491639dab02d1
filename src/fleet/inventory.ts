/**
 * Tells the server what the device is and runs: attributes, and the set that is installed; nothing twice unless it asks, and
 * what it refuses not before it changes.
 */
import type { HistoryEntry } from '../history.ts';
import { attributesOf } from './attributes.ts';
import { type FleetContext, pastOf } from './context.ts';
import { nameOf } from './decide.ts';

export interface Inventory {
  /** Something may have changed. */
  changed(): void;
  /** Throws a ServerFault. */
  tell(isAsked: boolean): Promise<void>;
}

export function createInventory(context: FleetContext): Inventory {
  const { host, options, remembered, exchange, updater, tag } = context;
  let isDue = true;

  async function tellAttributes(past: Awaited<ReturnType<typeof pastOf>>, isAsked: boolean): Promise<void> {
    const { report } = updater().auditState();
    const data = attributesOf({
      updaterVersion: options.updaterVersion,
      deviceType: options.deviceType,
      history: past.history,
      installedVersion: past.installed,
      differingFiles: report === null || report.unknown !== null ? undefined : report.differing,
      more: options.attributes,
    });
    const digest = await digestOf(JSON.stringify(data));
    const { taken, refused } = remembered.current().attributes;
    if (!isAsked && (digest === taken || digest === refused)) return;
    const { status } = await exchange.ask('PUT', '/configData', { mode: 'replace', data });
    const isTaken = status >= 200 && status < 300;
    if (!isTaken && digest !== refused)
      host.log.warn(`fleet: the server refuses the attributes: HTTP ${status}`);
    const attributes = isTaken ? { taken: digest, refused: null } : { taken, refused: digest };
    await remembered.change((memory) => ({ ...memory, attributes }));
  }

  /** After a rollback, or an install that the server knows nothing of: else it would never offer that version again. */
  async function tellSet({ history, installed }: Awaited<ReturnType<typeof pastOf>>): Promise<void> {
    const { order, owed, told_set } = remembered.current();
    if (options.setName === undefined || installed === undefined || order !== null || owed !== null) return;
    const newest = history.findLast(({ outcome }) => outcome === 'success');
    if (newest === undefined || newest.id === told_set) return;
    if (isUnknown(newest)) {
      const set = { name: options.setName, version: installed };
      const { status } = await exchange.ask('PUT', '/installedBase', set);
      host.log.info(`fleet: ${set.name} ${set.version} is told as installed (HTTP ${status})`);
    }
    await remembered.change((memory) => ({ ...memory, told_set: newest.id }));
  }

  /** A local install or rollback, or one whose order the server had closed by force before its end. */
  function isUnknown({ fleet_action: name }: HistoryEntry): boolean {
    const { last } = remembered.current();
    return name === undefined || (last?.counted === false && name === nameOf(last.id, tag));
  }

  return {
    changed: () => {
      isDue = true;
    },
    tell: async (isAsked) => {
      if (!isDue && !isAsked) return;
      const past = await pastOf(updater());
      await tellAttributes(past, isAsked);
      await tellSet(past);
      // Where an order is open the set waits for its end.
      isDue = remembered.current().order !== null;
    },
  };
}

/** 64 bits are enough to see a change by. */
export async function digestOf(text: string): Promise<string> {
  const { createHash } = await import('node:crypto');
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
