/** Some scenarios cut on the model disk: an install, a download. model-1.long.test.ts and model-2.long.test.ts have them all. */
import { suite } from 'uvu';
import { isWholeAfterCuts } from './model-run.ts';
import { shareCut } from './model-share.ts';
import { scenarioNamed } from './scenarios.ts';

const test = suite('power cuts on the model disk, some');

/** The disks that the long suite looks at; no cuts inside recoveries, few kills. */
const depth = {
  ...shareCut,
  nestedExhaustiveUpTo: 1,
  nestedEvery: 900,
  killEvery: 9,
  seed: 1,
};

for (const name of [
  'install of 3 modules in 3 directories',
  'download that breaks off while device-api does not answer',
])
  test(`${name}: all old or all new after every cut`, () => isWholeAfterCuts(scenarioNamed(name), depth));

test.run();
