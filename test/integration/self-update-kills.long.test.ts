/**
 * Whatever updater runs is killed, at instants spread over the story of each kind of new one: from the request until that is at rest.
 * One whole version runs in the end, and one true end is told. TOPE_SELF_KILLS asks for more kills of each kind.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type NewUpdater,
  type NewUpdaterKind,
  newUpdaterKinds,
  newUpdaters,
} from '../fixtures/new-updaters.ts';
import { until } from './daemon.ts';
import { type SelfDevice, withSelfDevice } from './self-device.ts';

const test = suite('self-update, killed');

const kills = Number(process.env.TOPE_SELF_KILLS ?? 1);

for (const kind of newUpdaterKinds) {
  const { what, make, probationS }: NewUpdater = newUpdaters[kind];
  test(`${kills} kill${kills === 1 ? '' : 's'} while a new one comes that ${what}`, () =>
    withSelfDevice(async (device) => {
      device.supervise(probationS);
      await device.reach('idle');
      await device.download(device.package('2.0.0', make(device.executable)));
      await device.halt();
      device.save();
      const storyMs = await story(device, kind, undefined);
      let hits = 0;
      for (let at = 0; at < kills; at++)
        if ((await story(device, kind, (storyMs * (at + 0.5)) / kills)) !== undefined) hits += 1;
      console.log(`\nmeasured: ${kind}: ${hits} killed, 0 bad`);
      assert.ok(hits > 0 || kills === 1);
    }));
}

test.run();

/** The whole story, or with a kill so long after the request; gives how long it took, undefined where the kill met nobody. */
async function story(device: SelfDevice, kind: NewUpdaterKind, killAfterMs: undefined): Promise<number>;
async function story(
  device: SelfDevice,
  kind: NewUpdaterKind,
  killAfterMs: number,
): Promise<number | undefined>;
async function story(
  device: SelfDevice,
  kind: NewUpdaterKind,
  killAfterMs: number | undefined,
): Promise<number | undefined> {
  const { probationS }: NewUpdater = newUpdaters[kind];
  device.restore();
  device.supervise(probationS);
  await device.reach('toInstall');
  await device.post('update', { version: '2.0.0' });
  const since = performance.now();
  let isHit = true;
  if (killAfterMs !== undefined) {
    await sleep(killAfterMs);
    const hit = device.pid();
    isHit = hit !== undefined;
    if (hit !== undefined) process.kill(hit, 'SIGKILL');
  }
  await atRest(device, kind);
  const ms = performance.now() - since;
  await device.halt();
  return isHit ? ms : undefined;
}

/** Waits for the end of this kind: what stands and runs is one whole version, and the history tells how that came. */
async function atRest(device: SelfDevice, kind: NewUpdaterKind): Promise<void> {
  const { ends, commits, stays, error }: NewUpdater = newUpdaters[kind];
  const version = ends === 'new' ? '2.0.0' : '1.0.0';
  const left = ends === 'new' && !stays ? ['probation', 'tope-updater.previous'] : [];
  const wanted = {
    updater: version,
    runs: version,
    data: `model of ${version}`,
    left,
    // What has committed is taken back by a rollback, which succeeds and says why.
    told: commits && ends === 'old' ? ['success', 'success'] : [ends === 'new' ? 'success' : 'failed'],
    why: ends === 'old',
    reported: ends === 'new' ? 'success' : 'failed',
  };
  let found: unknown;
  await until(
    () => `the end of one that is ${kind}: ${JSON.stringify(wanted)}; last: ${JSON.stringify(found)}`,
    async () => {
      const history = await device.history();
      found = {
        ...device.standing(),
        runs: (await device.healthz())?.version,
        told: history.map(({ outcome }) => outcome),
        why: error?.test(String(history[0]?.error)) ?? false,
        reported: device.deviceApi.reports.at(-1)?.stage,
      };
      const stage = (await device.progress())?.stage ?? '';
      return ['idle', 'success', 'failed'].includes(stage) && isSame(found, wanted);
    },
  );
  assert.not.ok(existsSync(join(device.prefix, 'tmp/state.json')) && ends === 'new', 'state.json is left');
}

function isSame(found: unknown, wanted: unknown): boolean {
  const sorted = (value: unknown) => JSON.stringify(Object.entries(value ?? {}).sort());
  return sorted(found) === sorted(wanted);
}
