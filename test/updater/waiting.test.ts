/** How old a verified package is: by the boot's own clock, by the wall clock over boots, and on devices that have none. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildMs } from '../../src/build-date.ts';
import { isExpired, untilExpiryMs } from '../../src/updater/waiting.ts';

const test = suite('the age of a package');
const hour = 3_600_000;
const today = buildMs + 1000 * hour;
const of = (id: string, hours: number) => ({ id, ms: hours * hour });

test('24 hours by the boot that verified it, whatever the wall clock does', () => {
  const verified = { verifiedMs: 0, verifiedBoot: of('a', 1) };
  // No battery: 1970 at the verification, then NTP.
  assert.not(isExpired(verified, { nowMs: today, boot: of('a', 1.1) }));
  assert.not(isExpired(verified, { nowMs: today, boot: of('a', 25) }));
  assert.ok(isExpired(verified, { nowMs: 0, boot: { id: 'a', ms: 25 * hour + 1 } }));
  assert.not(isExpired({ ...verified, verifiedMs: today }, { nowMs: today + 99 * hour, boot: of('a', 2) }));
});

test('24 hours by the wall clock where the machine was started anew', () => {
  const verified = { verifiedMs: today, verifiedBoot: of('a', 50) };
  assert.not(isExpired(verified, { nowMs: today + 24 * hour, boot: of('b', 0) }));
  assert.ok(isExpired(verified, { nowMs: today + 24 * hour + 1, boot: of('b', 0) }));
});

test('a wall clock before the build date is none: the time since the start counts', () => {
  for (const [verifiedMs, nowMs] of [
    [0, today],
    [today, 5000],
    [0, 5000],
    [buildMs - 1, today],
  ] as const) {
    const verified = { verifiedMs, verifiedBoot: of('a', 1) };
    assert.not(isExpired(verified, { nowMs, boot: of('b', 24) }));
    assert.ok(isExpired(verified, { nowMs, boot: { id: 'b', ms: 24 * hour + 1 } }));
  }
});

test('a wall clock that went back makes nothing younger than the boot', () => {
  const verified = { verifiedMs: today + 100 * hour, verifiedBoot: of('a', 1) };
  assert.not(isExpired(verified, { nowMs: today, boot: of('b', 2) }));
  assert.ok(isExpired(verified, { nowMs: today, boot: of('b', 25) }));
});

test('what an updater of before verified has its wall clock alone', () => {
  assert.ok(isExpired({ verifiedMs: today }, { nowMs: today + 24 * hour + 1, boot: of('b', 1) }));
  assert.not(isExpired({ verifiedMs: today }, { nowMs: today - hour, boot: of('b', 99) }));
  assert.not(isExpired({ verifiedMs: null }, { nowMs: today, boot: of('b', 99) }));
});

test('the time that is left is that until it expires', () => {
  const request = {
    version: '1.0.0',
    package_url: 'https://x/p',
    package_name: 'p',
    package_size: 1,
    package_md5: '0'.repeat(32),
  };
  const verified = { verifiedMs: 0, verifiedBoot: of('a', 1) };
  const operation = { kind: 'update', request, seal: null, action: null, ...verified } as const;
  assert.is(untilExpiryMs(operation, { nowMs: today, boot: of('a', 24) }), hour + 1);
  assert.is(untilExpiryMs(null, { nowMs: today }), 24 * hour + 1);
});

test.run();
