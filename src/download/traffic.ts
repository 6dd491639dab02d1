/** What a download took, over all runs that it needed: as it stands in state.json and in the history. Pure. */
import * as v from 'valibot';

const CountSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const TrafficSchema = v.object({
  /** Of bodies, whatever became of them. */
  bytes_fetched: CountSchema,
  /** Made of what the device had already. */
  bytes_reused: CountSchema,
  requests: CountSchema,
});
export type Traffic = v.InferOutput<typeof TrafficSchema>;

/**
 * In words for a screen: "4.9 of 66.7 MB downloaded, the rest is already here"; undefined where all was fetched (also: in the end,
 * as what was here did not fit), or where nothing is known.
 */
export function trafficText(
  traffic: Traffic | undefined,
  packageBytes: number | null | undefined,
): string | undefined {
  if (traffic === undefined || traffic.bytes_reused === 0 || !packageBytes) return undefined;
  if (traffic.bytes_fetched >= packageBytes) return undefined;
  const [unit, scale] = packageBytes < 1e6 ? (['kB', 1e3] as const) : (['MB', 1e6] as const);
  const figure = (bytes: number) => (bytes / scale).toFixed(1);
  return `${figure(traffic.bytes_fetched)} of ${figure(packageBytes)} ${unit} downloaded, the rest is already here`;
}

/** Counts what a download takes while it runs. */
export interface TrafficMeter {
  received(bytes: number): void;
  reused(bytes: number): void;
  requested(): void;
  /** So far, with what earlier runs took. */
  traffic(): Traffic;
}
