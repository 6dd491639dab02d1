/** Ten thousand devices for a week: no crowd at the server, and every end told once and truly. docs/fleet.md has the table. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Figures, type Herd, simulate } from './herd.ts';

const test = suite('ten thousand devices');
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const usual: Herd = {
  devices: 10_000,
  days: 7,
  sleepMs: 5 * minute,
  outages: [],
  commonCutMs: undefined,
  cutsADay: 0.01,
  groupsMs: [1, 2, 3].map((at) => at * day + 9 * hour),
  failing: 0.01,
  seed: 1,
};

const runs: readonly (readonly [string, Herd])[] = [
  ['a quiet week', usual],
  ['a server away for 1 min', { ...usual, days: 4, outages: [{ fromMs: 2 * day, lengthMs: minute }] }],
  [
    'a server away for 6 h',
    { ...usual, days: 4, outages: [{ fromMs: 2 * day + 6 * hour, lengthMs: 6 * hour }] },
  ],
  [
    'a server away for a day, in the middle of a rollout',
    { ...usual, outages: [{ fromMs: 2 * day + 9 * hour, lengthMs: day }] },
  ],
  ['all switched on at once', { ...usual, days: 4, commonCutMs: 3 * day }],
];

for (const [name, herd] of runs)
  test(name, () => {
    const found = simulate(herd);
    console.log(`\nmeasured: ${name}: ${row(found)}`);
    assert.equal([found.doubled, found.wrong, found.missing, found.ends], [0, 0, 0, herd.devices]);
    // hawkBit's gate for one address, behind which all of them may be; a group's polls of each minute are in it.
    assert.ok(found.peakPerSecond < 200, `peak ${found.peakPerSecond}`);
    assert.ok(found.backMs <= 16 * minute, `back after ${found.backMs} ms`);
  });

function row(found: Figures): string {
  const {
    meanPerSecond,
    peakPerSecond,
    peakAfterOutage,
    peakAfterCut,
    backMs,
    toldMs,
    ends,
    doubled,
    wrong,
    missing,
  } = found;
  const of = (ms: number) => `${(ms / minute).toFixed(1)} min`;
  return `mean ${meanPerSecond.toFixed(1)}/s, peak ${peakPerSecond}/s, after the outage ${peakAfterOutage}/s, after the switch-on ${peakAfterCut}/s, all back in ${of(backMs)}, last end ${of(toldMs)} after the last group's order; ${ends} ends, ${doubled} doubled, ${wrong} wrong, ${missing} missing`;
}

test.run();
