/**
 * `tmp/fleet.json`: what is remembered of the fleet's server across restarts and power cuts. Never a token. Written whole and
 * durably, one change after the other; a change that was not written has not happened, but for an end. Of another server, tenant
 * or id nothing is remembered: their orders may have the same numbers.
 */

import * as v from 'valibot';
import { errorText } from '../errors.ts';
import { readWhole, writeDurably } from '../host/durable-file.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import { PackageSchema } from '../updater/state.ts';

const IdSchema = v.pipe(v.string(), v.regex(/^[-\w]{1,64}$/));
const CountSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** The order that is carried out. */
export const OrderSchema = v.object({
  id: IdSchema,
  request: PackageSchema,
  /** The newest entry of the history when it was begun: a later one of this order is its end. */
  after: v.nullable(v.string()),
  /** The server has cancelled it: that it ends is our doing. */
  cancelling: v.boolean(),
  /** Keys of the words said. */
  told: v.array(v.pipe(v.string(), v.maxLength(40))),
  /** Of the download, without a byte in between; how long ago they began; refusals by the server. */
  tries: CountSchema,
  tried_ms: CountSchema,
  refusals: CountSchema,
});
export type Order = v.InferOutput<typeof OrderSchema>;

/** An end that the server has not confirmed. */
export const OwedSchema = v.object({
  id: IdSchema,
  execution: v.picklist(['closed', 'downloaded']),
  finished: v.picklist(['success', 'failure', 'none']),
  details: v.pipe(v.array(v.string()), v.readonly()),
  code: v.number(),
  version: v.nullable(v.string()),
  md5: v.nullable(v.string()),
});
export type Owed = v.InferOutput<typeof OwedSchema>;

/** The order that ended last. */
const LastSchema = v.object({
  id: IdSchema,
  outcome: v.picklist(['success', 'failure', 'downloaded', 'cancelled', 'gone']),
  version: v.nullable(v.string()),
  md5: v.nullable(v.string()),
  /** How often the same id was taken up again. */
  again: CountSchema,
  /** False: the server had closed it before its end came, and so does not know what it has installed. */
  counted: v.optional(v.boolean()),
});
export type Last = v.InferOutput<typeof LastSchema>;

const ServerSchema = v.object({ url: v.string(), tenant: v.string(), id: v.string() });
export type Server = v.InferOutput<typeof ServerSchema>;

const MemorySchema = v.object({
  server: ServerSchema,
  order: v.nullable(OrderSchema),
  owed: v.nullable(OwedSchema),
  last: v.nullable(LastSchema),
  /** Installs that failed, by the wall clock. */
  failures: v.array(v.object({ md5: v.string(), at: v.number() })),
  /** The order that somebody on the device said no to. */
  denied: v.nullable(IdSchema),
  /** Digests of the attributes that the server took, or refused. */
  attributes: v.object({ taken: v.nullable(v.string()), refused: v.nullable(v.string()) }),
  /** The entry of the history whose version was told as installed. */
  told_set: v.nullable(v.string()),
  /** Null: not heard of yet. */
  sleep_ms: v.nullable(CountSchema),
});
export type Memory = v.InferOutput<typeof MemorySchema>;

export function blankMemory(server: Server): Memory {
  return {
    server,
    order: null,
    owed: null,
    last: null,
    failures: [],
    denied: null,
    attributes: { taken: null, refused: null },
    told_set: null,
    sleep_ms: null,
  };
}

export interface Remembered {
  current(): Memory;
  /** Applies `change` in its turn, durably. Rejects where it cannot be written: nothing has changed then. One that gives back the same is none. */
  change(change: (memory: Memory) => Memory): Promise<Memory>;
  /** The same for what is true whether it can be written or not. Never rejects. */
  note(change: (memory: Memory) => Memory): Promise<void>;
}

/** What is remembered at `path` of this very server. */
export async function openMemory(
  host: Pick<Host, 'files' | 'log'>,
  path: string,
  server: Server,
): Promise<Remembered> {
  let memory = (await load(host, path, server)) ?? blankMemory(server);
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (change: (memory: Memory) => Memory, isFact: boolean): Promise<Memory> => {
    const turn = last.then(async () => {
      const next = change(memory);
      if (next === memory) return memory;
      if (isFact) memory = next;
      await writeDurably(host.files, path, Buffer.from(`${JSON.stringify(next, undefined, 2)}\n`));
      memory = next;
      return memory;
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  return {
    current: () => memory,
    change: (change) => inTurn(change, false),
    note: async (change) => {
      await inTurn(change, true).catch((thrown: unknown) => {
        host.log.error(`${path} cannot be written: ${errorText(thrown)}`);
      });
    },
  };
}

async function load(
  { files, log }: Pick<Host, 'files' | 'log'>,
  path: string,
  server: Server,
): Promise<Memory | undefined> {
  try {
    const bytes = await readWhole(files, path, limits.fleetStateBytes);
    if (bytes === undefined) return undefined;
    const memory = v.parse(MemorySchema, JSON.parse(Buffer.from(bytes).toString('utf8')));
    const isThis = (['url', 'tenant', 'id'] as const).every((key) => memory.server[key] === server[key]);
    if (isThis) return memory;
    log.warn(`${path} is of ${memory.server.url} and ${memory.server.id}: what stands there counts no more`);
    return undefined;
  } catch (thrown) {
    log.error(`${path} is unreadable and is moved aside: ${errorText(thrown)}`);
    await files.rename(path, `${path}.damaged`).catch((why: unknown) => {
      log.error(`moving ${path} aside: ${errorText(why)}`);
    });
    return undefined;
  }
}
