/** One try to send one report, bounded by `limits.reportTimeoutMs`. The first failure in a row is a warning, the others would fill the log. */
import { errorText } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';

/** The returned function sends a body and tells whether it was answered with a 2xx. It never rejects. */
export function poster(
  { net, log }: Pick<Host, 'net' | 'log'>,
  url: string,
): (body: string) => Promise<boolean> {
  let failures = 0;

  const failed = (why: string): false => {
    failures += 1;
    const text = `report to ${url} failed: ${why}`;
    if (failures === 1) log.warn(text);
    else log.debug(text);
    return false;
  };
  return async (body) => {
    try {
      const response = await net.request({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json' },
        body,
        headTimeoutMs: limits.reportTimeoutMs,
        stallTimeoutMs: limits.reportTimeoutMs,
      });
      response.discard();
      if (response.status < 200 || response.status > 299) return failed(`HTTP ${response.status}`);
      if (failures > 0) log.info(`reports to ${url} are answered again, after ${failures} failures`);
      failures = 0;
      return true;
    } catch (thrown) {
      return failed(errorText(thrown));
    }
  };
}
