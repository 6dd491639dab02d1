/**
 * Ten thousand devices on one server: the product's own schedule, decisions and ends, in simulated time. What is
 * simulated are the machines (a download takes minutes, an install one, power goes at random) and the server (orders in
 * groups, outages, one end an order); what is remembered survives a power cut, what runs does not.
 */

import { UpdateError } from '../../src/errors.ts';
import { afterStage, afterTold } from '../../src/fleet/ends.ts';
import { blankMemory, type Memory } from '../../src/fleet/memory.ts';
import { afterFailureMs, firstPollMs, nextPollMs } from '../../src/fleet/schedule.ts';
import { seededRandom } from '../powercut/seeded.ts';

export interface Herd {
  readonly devices: number;
  readonly days: number;
  readonly sleepMs: number;
  /** Nobody is answered in these. */
  readonly outages: readonly { readonly fromMs: number; readonly lengthMs: number }[];
  /** All lose power at this time, and come back together; undefined: never. */
  readonly commonCutMs: number | undefined;
  /** Part of the devices that lose power at a random moment of each day. */
  readonly cutsADay: number;
  /** When each group of a rollout is ordered to update. */
  readonly groupsMs: readonly number[];
  readonly failing: number;
  readonly seed: number;
}

export interface Figures {
  readonly polls: number;
  readonly meanPerSecond: number;
  readonly peakPerSecond: number;
  /** From the end of the longest outage until every device has been answered again. */
  readonly backMs: number;
  /** Peak second in the hour after the longest outage. */
  readonly peakAfterOutage: number;
  readonly peakAfterCut: number;
  /** From the last group's order until the last end. */
  readonly toldMs: number;
  readonly ends: number;
  readonly doubled: number;
  readonly wrong: number;
  readonly missing: number;
}

interface Device {
  memory: Memory;
  failures: number;
  nextMs: number;
  /** What the machine does, and until when. */
  work: 'none' | 'download' | 'install';
  workUntilMs: number;
  hasNew: boolean;
  readonly group: number;
  readonly isFailing: boolean;
  cutsMs: number[];
  answeredMs: number;
  /** Ends that the server accepted. */
  readonly ends: string[];
  endSent: number;
}

const day = 24 * 60 * 60_000;
const request = {
  version: '2.0.0',
  package_url: 'https://h/p.zip',
  package_name: 'p.zip',
  package_size: 1,
  package_md5: '0'.repeat(32),
};
const order = {
  id: '1',
  request,
  after: null,
  cancelling: false,
  told: [],
  tries: 0,
  tried_ms: 0,
  refusals: 0,
};

export function simulate(herd: Herd): Figures {
  const random = seededRandom(herd.seed);
  const totalMs = herd.days * day;
  const perSecond = new Uint32Array(Math.ceil(totalMs / 1000) + 1);
  const devices: Device[] = Array.from({ length: herd.devices }, (_, index) =>
    newDevice(herd, index, random),
  );
  const queue = calendar(totalMs);
  for (const [index, device] of devices.entries()) queue.add(index, device.nextMs);
  const down = (nowMs: number) =>
    herd.outages.some(({ fromMs, lengthMs }) => nowMs >= fromMs && nowMs < fromMs + lengthMs);
  const longest = herd.outages.reduce((a, b) => (b.lengthMs > a.lengthMs ? b : a), {
    fromMs: 0,
    lengthMs: 0,
  });
  const backFromMs = longest.fromMs + longest.lengthMs;
  let backMs = 0;
  let toldMs = 0;

  for (let next = queue.take(); next !== undefined; next = queue.take()) {
    const { index, atMs: nowMs } = next;
    const device = devices[index];
    if (device === undefined || device.nextMs !== nowMs) continue;
    settle(device, nowMs, random);
    if (powerWent(device, nowMs, random)) {
      queue.add(index, device.nextMs);
      continue;
    }
    const second = Math.floor(nowMs / 1000);
    perSecond[second] = (perSecond[second] ?? 0) + 1;
    if (down(nowMs)) {
      device.failures += 1;
      device.nextMs = nowMs + afterFailureMs(device.failures, herd.sleepMs, undefined, random());
    } else {
      if (device.answeredMs < backFromMs && nowMs >= backFromMs)
        backMs = Math.max(backMs, nowMs - backFromMs);
      device.answeredMs = nowMs;
      device.failures = 0;
      if (answered(device, herd, nowMs, random)) toldMs = Math.max(toldMs, nowMs);
      device.nextMs = nowMs + nextPollMs(herd.sleepMs, device.memory.order !== null, random());
      // The end of an install is told when it comes, not at the next poll.
      if (device.work === 'install') device.nextMs = Math.min(device.nextMs, device.workUntilMs + 1);
    }
    queue.add(index, device.nextMs);
  }
  return figuresOf(herd, devices, perSecond, {
    backMs,
    backFromMs,
    toldMs: toldMs - Math.max(0, ...herd.groupsMs),
  });
}

function newDevice(herd: Herd, index: number, random: () => number): Device {
  const cutsMs = herd.commonCutMs === undefined ? [] : [herd.commonCutMs];
  for (let at = 0; at < herd.days; at++)
    if (random() < herd.cutsADay) cutsMs.push(Math.floor((at + random()) * day));
  return {
    memory: blankMemory({ url: 'https://h', tenant: 'DEFAULT', id: `d${index}` }),
    failures: 0,
    nextMs: Math.floor(firstPollMs(herd.sleepMs, false, random())),
    work: 'none',
    workUntilMs: 0,
    hasNew: false,
    group: index % Math.max(1, herd.groupsMs.length),
    isFailing: random() < herd.failing,
    cutsMs: cutsMs.sort((a, b) => a - b),
    answeredMs: 0,
    ends: [],
    endSent: 0,
  };
}

/** What the machine has done by now. */
function settle(device: Device, nowMs: number, random: () => number): void {
  if (device.work === 'none' || nowMs < device.workUntilMs) return;
  if (device.work === 'download') {
    device.work = 'install';
    device.workUntilMs = nowMs + 20_000 + random() * 60_000;
    return;
  }
  device.work = 'none';
  device.hasNew = !device.isFailing;
  const error = device.isFailing ? new UpdateError('HEALTH_CHECK_FAILED', 'simulated') : null;
  const heard = {
    stage: device.isFailing ? 'failed' : 'success',
    order: '1',
    error,
    installed: '1.0.0',
    nowMs,
    triedMs: 0,
    hasNewBytes: false,
  } as const;
  device.memory = afterStage(device.memory, heard);
}

/** A cut stops what runs; an install that was under way is taken up again by the start. */
function powerWent(device: Device, nowMs: number, random: () => number): boolean {
  const [cutMs] = device.cutsMs;
  if (cutMs === undefined || cutMs > nowMs) return false;
  device.cutsMs.shift();
  if (device.work !== 'none') device.workUntilMs = nowMs + 60_000;
  device.failures = 0;
  const isUrgent = device.memory.order !== null || device.memory.owed !== null;
  device.nextMs = nowMs + firstPollMs(device.memory.sleep_ms ?? undefined, isUrgent, random());
  return true;
}

/** One poll that is answered; true: an end was told. One answer in fifty is lost, so that the end is told twice. */
function answered(device: Device, herd: Herd, nowMs: number, random: () => number): boolean {
  if (device.memory.sleep_ms === null) device.memory = { ...device.memory, sleep_ms: herd.sleepMs };
  const { owed } = device.memory;
  if (owed !== null) {
    device.endSent += 1;
    if (device.ends.length === 0) device.ends.push(owed.finished); // 410 afterwards
    if (random() < 0.02) return false;
    device.memory = afterTold(device.memory, owed, true);
    return true;
  }
  const orderedMs = herd.groupsMs[device.group] ?? Number.POSITIVE_INFINITY;
  const isOffered = nowMs >= orderedMs && device.ends.length === 0;
  if (isOffered && device.memory.order === null) {
    device.memory = { ...device.memory, order };
    device.work = 'download';
    device.workUntilMs = nowMs + 60_000 + random() * 600_000;
  }
  return false;
}

function figuresOf(
  herd: Herd,
  devices: readonly Device[],
  perSecond: Uint32Array,
  times: { readonly backMs: number; readonly backFromMs: number; readonly toldMs: number },
): Figures {
  const peakIn = (fromMs: number, lengthMs: number) =>
    perSecond
      .subarray(Math.floor(fromMs / 1000), Math.floor((fromMs + lengthMs) / 1000))
      .reduce((a, b) => Math.max(a, b), 0);
  const polls = perSecond.reduce((a, b) => a + b, 0);
  const isOrdered = herd.groupsMs.length > 0;
  return {
    polls,
    meanPerSecond: polls / ((herd.days * day) / 1000),
    peakPerSecond: peakIn(0, herd.days * day),
    backMs: times.backMs,
    peakAfterOutage: peakIn(times.backFromMs, 3_600_000),
    peakAfterCut: herd.commonCutMs === undefined ? 0 : peakIn(herd.commonCutMs, 3_600_000),
    toldMs: times.toldMs,
    ends: devices.reduce((sum, { ends }) => sum + ends.length, 0),
    doubled: devices.filter(({ ends }) => ends.length > 1).length,
    wrong: devices.filter(({ ends, hasNew }) => ends.length > 0 && (ends[0] === 'success') !== hasNew).length,
    missing: isOrdered ? devices.filter(({ ends }) => ends.length === 0).length : 0,
  };
}

/** Events by the second they are due in: a heap would take most of the time of twenty million of them. */
function calendar(totalMs: number): {
  add(index: number, atMs: number): void;
  take(): { index: number; atMs: number } | undefined;
} {
  const buckets = new Map<number, { index: number; atMs: number }[]>();
  let second = 0;
  let current: { index: number; atMs: number }[] = [];
  return {
    add: (index, atMs) => {
      const at = Math.max(second, Math.floor(atMs / 1000));
      if (at === second) return void current.push({ index, atMs });
      const bucket = buckets.get(at);
      if (bucket === undefined) buckets.set(at, [{ index, atMs }]);
      else bucket.push({ index, atMs });
    },
    take: () => {
      while (current.length === 0) {
        second += 1;
        if (second * 1000 >= totalMs) return undefined;
        current = buckets.get(second) ?? [];
        buckets.delete(second);
      }
      return current.pop();
    },
  };
}
