/**
 * The end of an operation that device-api has not heard of, kept across restarts and power cuts in `tmp/outbox.json` exactly as
 * long as it is owed: the body of one report. A disk that fails costs durability, never a report.
 */

import * as v from 'valibot';
import { errorText } from '../errors.ts';
import { readWhole, removeIfThere, writeDurably } from '../host/durable-file.ts';
import type { Files, Log } from '../host/host.ts';
import { limits } from '../limits.ts';
import { stages } from '../updater/state.ts';

const OwedSchema = v.looseObject({ stage: v.picklist(stages), code: v.number() });

export interface Outbox {
  /** The body kept by an earlier run, or undefined. A damaged file is removed and logged. */
  read(): Promise<string | undefined>;
  /** Durable when it resolves; replaces what was kept. */
  keep(body: string): Promise<void>;
  /** Nothing is owed any more. */
  clear(): Promise<void>;
  /** Resolves when everything asked for so far is done. */
  settled(): Promise<void>;
}

export function openOutbox(files: Files, log: Log, path: string): Outbox {
  let last: Promise<void> = Promise.resolve();
  const inOrder = async <Result>(
    what: string,
    action: () => Promise<Result>,
  ): Promise<Result | undefined> => {
    const earlier = last;
    let end: () => void = () => undefined;
    last = new Promise((resolve) => {
      end = resolve;
    });
    await earlier;
    try {
      return await action();
    } catch (thrown) {
      log.warn(`outbox ${path}: cannot ${what}: ${errorText(thrown)}`);
      return undefined;
    } finally {
      end();
    }
  };
  const remove = () => removeIfThere(files, path);
  return {
    read: () =>
      inOrder('read it', async () => {
        const bytes = await readWhole(files, path, limits.reportBytes);
        if (bytes === undefined) return undefined;
        const body = Buffer.from(bytes).toString();
        if (isOwed(body)) return body;
        log.warn(`outbox ${path}: holds no report, removed`);
        await remove();
        return undefined;
      }),
    keep: async (body) => {
      await inOrder('write it', () => writeDurably(files, path, Buffer.from(body)));
    },
    // Not synced: a word that comes back after a power cut is only said twice.
    clear: async () => {
      await inOrder('remove it', remove);
    },
    settled: async () => {
      await last;
    },
  };
}

function isOwed(body: string): boolean {
  try {
    return v.is(OwedSchema, JSON.parse(body));
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return false;
    throw thrown;
  }
}
