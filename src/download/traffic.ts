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
 * In words for a screen: "4.9 of 66.7 MB downloaded, the rest is already here"; undefined where all was fetched, or where nothing
 * is known.
 */
export function trafficText(
  traffic: Traffic | undefined,
  packageBytes: number | null | undefined,
): string | undefined {
  if (traffic === undefined || traffic.bytes_reused === 0 || !packageBytes) return undefined;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  return `${megabytes(traffic.bytes_fetched)} of ${megabytes(packageBytes)} MB downloaded, the rest is already here`;
}
