/** Asks started services whether they work (`health`, spec section 4): all at the same time, each bounded by its own `timeoutMs`. */
import { errorText, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { HealthCheck, ServiceSpec } from '../release.ts';

export type HealthHost = Pick<Host, 'processes' | 'clock' | 'net' | 'log'>;

/** Polls every service that has a check. HEALTH_CHECK_FAILED with the last failure of the first not healthy in time, or the signal's reason. */
export async function checkHealth(
  host: HealthHost,
  specs: readonly ServiceSpec[],
  signal?: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const signals = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const checks = specs.map(async ({ module, health }) => {
    if (health === undefined) return;
    await pollUntilHealthy(host, module, health, signals);
    host.log.info(`${module} is healthy: ${describe(health)}`);
  });
  try {
    await Promise.all(checks);
  } finally {
    // One failure decides; the others need not be waited for.
    failed.abort(new Error('another health check failed'));
  }
}

async function pollUntilHealthy(
  host: HealthHost,
  module: string,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<void> {
  const deadline = host.clock.elapsed() + check.timeoutMs;
  let failure = '';
  for (;;) {
    const leftMs = Math.max(1, Math.ceil(deadline - host.clock.elapsed()));
    const now = await failureOf(host, check, Math.min(leftMs, limits.healthTryMs), signal);
    if (now === undefined) return;
    signal.throwIfAborted();
    // A try that the end of the time cut short says less than the whole one before it.
    const isCutShort = leftMs < limits.healthTryMs && host.clock.elapsed() >= deadline;
    if (!isCutShort || failure === '') failure = now;
    if (host.clock.elapsed() + limits.healthPollMs >= deadline) {
      const text = `${module}: ${describe(check)} not healthy within ${check.timeoutMs} ms: ${failure}`;
      throw new UpdateError('HEALTH_CHECK_FAILED', text);
    }
    await host.clock.sleep(limits.healthPollMs, signal);
  }
}

/** One try; undefined when the service is well. */
async function failureOf(
  host: HealthHost,
  check: HealthCheck,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    switch (check.kind) {
      case 'http':
        return await httpFailure(host, check.url, timeoutMs, signal);
      case 'tcp':
        await host.net.connect('127.0.0.1', check.port, timeoutMs);
        return undefined;
      case 'exec':
        return await execFailure(host, check.argv, timeoutMs);
      default:
        return check satisfies never;
    }
  } catch (thrown) {
    return errorText(thrown);
  }
}

async function httpFailure(
  host: HealthHost,
  url: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const response = await host.net.request({
    method: 'GET',
    url,
    headers: {},
    headTimeoutMs: timeoutMs,
    stallTimeoutMs: timeoutMs,
    signal,
  });
  response.discard();
  return response.status >= 200 && response.status < 300 ? undefined : `HTTP status ${response.status}`;
}

async function execFailure(
  host: HealthHost,
  argv: readonly string[],
  timeoutMs: number,
): Promise<string | undefined> {
  const { status, stderr } = await host.processes.run(argv, timeoutMs);
  return status === 0 ? undefined : `exit status ${status}: ${stderr.trim() || 'no message'}`;
}

function describe(check: HealthCheck): string {
  switch (check.kind) {
    case 'http':
      return check.url;
    case 'tcp':
      return `tcp port ${check.port}`;
    case 'exec':
      return check.argv.join(' ');
    default:
      return check satisfies never;
  }
}
