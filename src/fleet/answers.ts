/**
 * What a DDI server (hawkBit's Direct Device Integration API) answers. Pure. What is not needed may have any form; what is
 * needed and wrong throws a ValiError, so that the whole answer counts as none; links are read for their id alone, never
 * followed.
 */
import * as v from 'valibot';
import { limits } from '../limits.ts';

/** The id of an order and what the server adds to its address, `?c=...`: another one where the order has changed. */
export interface Link {
  readonly id: string;
  readonly query: string;
}

/** The answer to a poll: at most one of the three links is there. */
export interface Poll {
  /** Undefined: not told, or not readable. */
  readonly sleepMs: number | undefined;
  readonly deployment: Link | undefined;
  readonly cancel: Link | undefined;
  readonly confirmation: Link | undefined;
  /** The server asks for the attributes. */
  readonly wantsAttributes: boolean;
}

export const handlings = ['forced', 'attempt', 'skip'] as const;
export type Handling = (typeof handlings)[number];

export interface Artifact {
  readonly filename: string;
  readonly sizeBytes: number | undefined;
  readonly md5: string | undefined;
  readonly sha256: string | undefined;
  readonly href: string | undefined;
}

/** A software module of the distribution set. */
export interface Chunk {
  readonly name: string;
  readonly version: string;
  readonly isEncrypted: boolean;
  readonly artifacts: readonly Artifact[];
  readonly metadata: ReadonlyMap<string, string>;
}

export interface Deployment {
  readonly id: string;
  readonly download: Handling;
  readonly update: Handling;
  /** True: a maintenance window decides when `update` changes. */
  readonly hasWindow: boolean;
  readonly chunks: readonly Chunk[];
}

export function readPoll(json: unknown): Poll {
  const { config, _links } = v.parse(PollSchema, json);
  return {
    sleepMs: sleepOf(config?.polling?.sleep),
    deployment: linkOf(_links?.deploymentBase?.href, 'deploymentBase'),
    cancel: linkOf(_links?.cancelAction?.href, 'cancelAction'),
    confirmation: linkOf(_links?.confirmationBase?.href, 'confirmationBase'),
    wantsAttributes: _links?.configData != null,
  };
}

export function readDeployment(json: unknown): Deployment {
  const { id, deployment } = v.parse(v.looseObject({ id: IdSchema, deployment: PlanSchema }), json);
  return deploymentOf(id, deployment);
}

/** The same set, while somebody has to say yes to it first. */
export function readConfirmation(json: unknown): Deployment {
  const { id, confirmation } = v.parse(v.looseObject({ id: IdSchema, confirmation: PlanSchema }), json);
  return deploymentOf(id, confirmation);
}

/** For the log: why a server refuses, in its own key; undefined where it does not say. */
export function readErrorCode(json: unknown): string | undefined {
  const result = v.safeParse(
    v.looseObject({ errorCode: v.pipe(v.string(), v.regex(/^[\w.-]{1,100}$/)) }),
    json,
  );
  return result.success ? result.output.errorCode : undefined;
}

/** hawkBit numbers them, others name them; a number is taken for its digits. */
const idPattern = /^[-\w]{1,64}$/;
const IdSchema = v.pipe(
  v.union([v.string(), v.pipe(v.number(), v.safeInteger(), v.transform(String))]),
  v.regex(idPattern, 'must be an id of letters, digits, "-" and "_"'),
);
const LinkSchema = v.nullish(v.looseObject({ href: v.pipe(v.string(), v.maxLength(2048)) }));
const PollSchema = v.looseObject({
  config: v.nullish(v.looseObject({ polling: v.nullish(v.looseObject({ sleep: v.optional(v.unknown()) })) })),
  _links: v.nullish(
    v.looseObject({
      deploymentBase: LinkSchema,
      cancelAction: LinkSchema,
      confirmationBase: LinkSchema,
      configData: v.optional(v.unknown()),
    }),
  ),
});
const HashSchema = (digits: number) =>
  v.nullish(v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-fA-F]{${digits}}$`)), v.toLowerCase()));
const ArtifactSchema = v.looseObject({
  filename: v.pipe(v.string(), v.maxLength(1024)),
  size: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  hashes: v.nullish(v.looseObject({ md5: HashSchema(32), sha256: HashSchema(64) })),
  // The names lie: with one rel alone, `download-http` is https where the request was.
  _links: v.nullish(v.looseObject({ download: LinkSchema, 'download-http': LinkSchema })),
});
const PlanSchema = v.looseObject({
  download: v.picklist(handlings),
  update: v.picklist(handlings),
  maintenanceWindow: v.nullish(v.string()),
  chunks: v.array(
    v.looseObject({
      name: v.string(),
      version: v.string(),
      encrypted: v.nullish(v.boolean()),
      artifacts: v.nullish(v.array(ArtifactSchema)),
      metadata: v.nullish(v.array(v.looseObject({ key: v.string(), value: v.string() }))),
    }),
  ),
});

function linkOf(href: string | undefined, name: string): Link | undefined {
  if (href === undefined) return undefined;
  const [, id, query = ''] = new RegExp(`/${name}/([-\\w]{1,64})(\\?c=[-\\w]{1,64})?$`).exec(href) ?? [];
  // Said by its name in the message of the fault; the link itself may hold anything.
  return v.parse(v.object({ id: v.pipe(v.string(`_links.${name} names no id`)), query: v.string() }), {
    id,
    query,
  });
}

/** `HH:MM:SS`, kept within what a device can bear and a server can need. */
function sleepOf(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? /^(\d{1,3}):([0-5]\d):([0-5]\d)$/.exec(text) : null;
  if (parts === null) return undefined;
  const ms = 1000 * (3600 * Number(parts[1]) + 60 * Number(parts[2]) + Number(parts[3]));
  return Math.min(limits.fleetSleepMostMs, Math.max(limits.fleetSleepLeastMs, ms));
}

function deploymentOf(id: string, plan: v.InferOutput<typeof PlanSchema>): Deployment {
  return {
    id,
    download: plan.download,
    update: plan.update,
    hasWindow: plan.maintenanceWindow != null,
    chunks: plan.chunks.map((chunk) => ({
      name: chunk.name,
      version: chunk.version,
      isEncrypted: chunk.encrypted ?? false,
      artifacts: (chunk.artifacts ?? []).map((artifact) => ({
        filename: artifact.filename,
        sizeBytes: artifact.size || undefined, // an empty one is as good as none
        md5: artifact.hashes?.md5 ?? undefined,
        sha256: artifact.hashes?.sha256 ?? undefined,
        href: (artifact._links?.download ?? artifact._links?.['download-http'])?.href,
      })),
      metadata: new Map((chunk.metadata ?? []).map(({ key, value }) => [key, value])),
    })),
  };
}
