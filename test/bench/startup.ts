/** (e) From the start of the process to the first answer of its API, warm, and with an empty page cache. */
import { join } from 'node:path';
import { median, type Row, spread } from './figures.ts';
import { dropPageCache } from './machine.ts';
import type { Bench } from './setting.ts';
import { startUpdater } from './updater.ts';

export async function measureStartup(bench: Bench): Promise<Row[]> {
  const once = async () => {
    const updater = await startUpdater({
      folder: join(bench.scratch, 'startup'),
      executable: bench.executable,
    });
    await updater.stop();
    return updater.startMs;
  };
  await once();
  const warm: number[] = [];
  const cold: number[] = [];
  for (let round = 0; round < 2 * bench.rounds; round++) warm.push(await once());
  for (let round = 0; round < bench.rounds; round++) if (dropPageCache()) cold.push(await once());
  const coldNote = cold.length === 0 ? 'only root can empty the page cache' : `${median(cold).toFixed(0)} ms`;
  const note = `${spread(warm, 0)}; page cache empty: ${coldNote}`;
  return [
    {
      id: 'e',
      what: 'start of the process to first answer',
      value: median(warm),
      unit: 'ms',
      target: 150,
      note,
    },
  ];
}
