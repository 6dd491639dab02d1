/** How long the Node that an executable carries gets security fixes. Pure. */

/** The last day of each line, from Node's release schedule (github.com/nodejs/Release). */
const lastDays: Readonly<Record<string, string>> = {
  18: '2025-04-30',
  20: '2026-04-30',
  22: '2027-04-30',
  24: '2028-04-30',
  26: '2029-04-30',
};

/** The day on which the support of Node `x.y.z` has ended, as of `nowMs` (epoch); undefined: it has not, or nobody said. */
export function endOfSupport(version: string, nowMs: number): string | undefined {
  const lastDay = lastDays[version.split('.', 1)[0] ?? ''];
  if (lastDay === undefined) return undefined;
  const dayMs = 24 * 60 * 60 * 1000;
  return nowMs >= Date.parse(lastDay) + dayMs ? lastDay : undefined;
}
