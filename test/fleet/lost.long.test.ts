/** The answer to each feedback lost, or the feedback itself: one end counts, and nothing stays owed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../integration/daemon.ts';
import { askFleet, withFleet } from './device.ts';

const test = suite('lost answers of a fleet');
const isFeedback = ({ method, path }: { method: string; path: string }) =>
  method === 'POST' && path.includes('/feedback');

for (const lost of [1, 2, 3, 4])
  for (const kind of ['dropBefore', 'dropAfter'] as const)
    test(`feedback ${lost} is lost (${kind}): one end counts`, () =>
      withFleet(async (device) => {
        let count = 0;
        device.server.fail((request) => (isFeedback(request) && ++count === lost ? { kind } : undefined));
        const id = await device.order(device.usual('2.0.0'));
        const daemon = await device.join();
        const told = await device.ends(daemon, id, 'finished');
        assert.is(told.filter((word) => word.startsWith('closed')).length, 1);
        await until('nothing is owed', async () => {
          await askFleet(daemon, { poll: true });
          return (await askFleet(daemon)).data.owed === null;
        });
      }));

test.run();
