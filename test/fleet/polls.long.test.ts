/**
 * A thousand polls over https: the daemon's memory stays where it is, although TLS takes native memory that no collection knows
 * of. Then an order of 60 MB, whose peak is printed (TOPE_UPDATER_BIN: of the packed executable).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Daemon } from '../integration/daemon.ts';
import { until } from '../integration/daemon.ts';
import { makeCertificates } from '../network/certificates.ts';
import { askFleet, withFleet } from './device.ts';

const test = suite('polls over https');
const certificates = makeCertificates();
test.after(() => certificates?.remove());
/** Plain Node's heap takes about a thousand polls to reach its size; the executables have flags that bound it. */
const warmUp = process.env.TOPE_UPDATER_BIN === undefined ? 1000 : 100;
const polls = 1000;
const growthBytes = 8e6;

function memoryOf({ pid }: Daemon, key: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1]);
}

/** Linux: from now on VmHWM counts anew. */
function forgetPeak({ pid }: Daemon): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

async function pollTimes(daemon: Daemon, times: number): Promise<void> {
  for (let done = 0; done < times; done++) {
    // One that fails (a busy machine) costs as much.
    const count = async () => {
      const { answered, failed } = (await askFleet(daemon)).data.polls;
      return answered + failed;
    };
    const before = await count();
    await askFleet(daemon, { poll: true });
    await until('the poll has ended', async () => (await count()) > before, 60_000);
  }
}

if (certificates !== undefined)
  test('a thousand polls and an update leave the memory where it was', () =>
    withFleet(
      async (device) => {
        const daemon = await device.join(['--ca-file', certificates.caFile, '--log-level', 'info']);
        await pollTimes(daemon, warmUp);
        const before = memoryOf(daemon, 'VmRSS');
        await pollTimes(daemon, polls);
        const after = memoryOf(daemon, 'VmRSS');
        forgetPeak(daemon); // of the start of Node, where a process is largest
        const big = { content: { random: 60_000_000 }, compress: false };
        const id = await device.order(device.usual('2.0.0', { 'modules/model.bin': big }));
        await askFleet(daemon, { poll: true });
        // Not asked for again and again: a device polls once a minute meanwhile.
        await until('it is installed', () => device.server.ddi.action(id).state === 'finished', 120_000);
        const peak = memoryOf(daemon, 'VmHWM');
        const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
        console.log(
          `\nmeasured: resident after ${warmUp} polls ${mb(before)}, after ${polls} more ${mb(after)}, peak over an update of 60 MB by https ${mb(peak)}`,
        );
        assert.ok(after - before < growthBytes, `${mb(before)} became ${mb(after)}`);
      },
      { tls: { cert: certificates.server.cert, key: certificates.server.key } },
    ));

test.run();
