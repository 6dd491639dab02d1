/** Holds over a restart of the updater: kept within one boot with the time that they have left, forgotten by the next. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import { realProcesses } from '../../src/host/processes.ts';
import { createHolds } from '../../src/updater/hold.ts';
import { loadHolds, saveHolds } from '../../src/updater/saved-holds.ts';

const test = suite('updater/saved-holds');
const tmp = mkdtempSync(join(tmpdir(), 'tope-holds-'));
test.after(() => rmSync(tmp, { recursive: true }));

const warned: string[] = [];
const log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (line: string) => void warned.push(line),
  error: () => undefined,
};
const host = { files: realFiles(), processes: realProcesses(), log };
const lease = { owner: 'device-api', reason: 'a print is running', ttl_s: 60 };

test('a restart keeps a hold with the time that it has left', async () => {
  let elapsedMs = 1_000_000;
  const clock = { ...realClock(), elapsed: () => elapsedMs };
  const before = createHolds(clock);
  before.hold(lease);
  before.hold({ ...lease, owner: 'screen', ttl_s: 10 });
  await saveHolds(host, tmp, before.leases());
  assert.is(statSync(join(tmp, 'holds.json')).mode & 0o777, 0o600);
  elapsedMs += 20_000;
  const after = createHolds(clock);
  after.restore(await loadHolds(host, tmp));
  assert.equal(
    after.current().map(({ owner, reason }) => [owner, reason]),
    [['device-api', 'a print is running']],
  );
  elapsedMs += 40_001;
  assert.equal(after.current(), []);
});

test('another boot knows none, and what is no file of holds is said', async () => {
  const holds = createHolds(realClock());
  holds.hold(lease);
  await saveHolds(host, tmp, holds.leases());
  assert.is((await loadHolds(host, tmp)).length, 1);
  const rebooted = { ...host, processes: { ...host.processes, bootId: async () => 'another' } };
  assert.equal(await loadHolds(rebooted, tmp), []);
  writeFileSync(join(tmp, 'holds.json'), '{"boot_id":');
  assert.equal(await loadHolds(host, tmp), []);
  assert.match(warned.join(), /the holds of an earlier run are not known/);
});

test('where nobody holds any more there is no file', async () => {
  await saveHolds(host, tmp, []);
  assert.equal(readdirSync(tmp), []);
  assert.equal(await loadHolds(host, tmp), []);
});

test.run();
