/** One process's share of the failing file calls; see in-parallel.ts. */
import { sweepFaults, sweptScenarios } from './fault-sweep.ts';
import { shareOf } from './share-of.ts';

/** A part of the long run: fewer recoveries, and across filesystems one code at each call. */
const shortRun = [
  { allCodes: true, recoveries: 3 },
  { allCodes: true, recoveries: 3 },
  { allCodes: false, recoveries: 2 },
];

// A fault that nobody awaits is an unhandled rejection: it ends this process, and with it the test.
void (async () => {
  for (const [index, name] of shareOf([...sweptScenarios.entries()])) {
    const depth = shortRun[index];
    if (depth === undefined) throw new Error(`no depth for ${name}`);
    console.log(JSON.stringify({ name, result: await sweepFaults(name, depth) }));
  }
})();
