/** What this process costs, for GET /metrics. */

export interface ProcessFacts {
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  readonly cpuSeconds: number;
  /** Epoch seconds, with a fraction. */
  readonly startedAt: number;
}

export function processFacts(): ProcessFacts {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    cpuSeconds: (user + system) / 1e6,
    startedAt: Date.now() / 1000 - process.uptime(),
  };
}
