/** What the fleet's client shows and takes on the device: GET and POST /fleet. Not in fleet/, of which nothing is loaded without a fleet. Pure. */
import * as v from 'valibot';

const CountSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const FleetStateSchema = v.object({
  /** fleet_url; null: this device belongs to no fleet, and all the rest is empty. */
  server: v.nullable(v.string()),
  tenant: v.nullable(v.string()),
  id: v.nullable(v.string()),
  /** When the server last answered; null: not since the start. */
  last_contact_at: v.nullable(v.pipe(v.string(), v.isoTimestamp())),
  /** Why it did not answer the last poll. */
  problem: v.nullable(v.string()),
  /** Polls without an answer, in a row. */
  failures: CountSchema,
  next_poll_s: v.nullable(CountSchema),
  /** What is carried out. */
  order: v.nullable(
    v.object({
      id: v.string(),
      version: v.string(),
      /** consent: somebody here; window: the server's time window; device: what was begun here comes first. */
      waits_for: v.nullable(v.picklist(['consent', 'window', 'device'])),
    }),
  ),
  /** What the server wants a yes or a no to. */
  question: v.nullable(v.object({ id: v.string(), version: v.nullable(v.string()), declined: v.boolean() })),
  /** An end that the server has not heard. */
  owed: v.nullable(v.object({ id: v.string(), finished: v.string() })),
  last: v.nullable(v.object({ id: v.string(), outcome: v.string(), version: v.nullable(v.string()) })),
  /** Since the start. */
  polls: v.object({ answered: CountSchema, failed: CountSchema }),
});
export type FleetState = v.InferOutput<typeof FleetStateSchema>;

/** What POST /fleet asks for. */
export const FleetRequestSchema = v.pipe(
  v.object({
    /** Asks the server now. */
    poll: v.optional(v.literal(true)),
    /** The answer to `question`, or to an order that waits for consent. */
    confirm: v.optional(v.boolean()),
  }),
  v.check(
    ({ poll, confirm }) => (poll === undefined) !== (confirm === undefined),
    'must hold either poll or confirm',
  ),
);
export type FleetRequest = v.InferOutput<typeof FleetRequestSchema>;

/** The fleet's client as those on the device see it. */
export interface FleetControl {
  state(): FleetState;
  poll(): void;
  /** Rejects with VALIDATION_ERROR where nothing is asked, or as update and cancel do. */
  answer(isYes: boolean): Promise<void>;
}

export const noFleet: FleetState = {
  server: null,
  tenant: null,
  id: null,
  last_contact_at: null,
  problem: null,
  failures: 0,
  next_poll_s: null,
  order: null,
  question: null,
  owed: null,
  last: null,
  polls: { answered: 0, failed: 0 },
};
