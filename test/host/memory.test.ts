import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanFileMappings } from '../../src/host/hand-back.ts';
import { realMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';

const smaps = `00400000-0a000000 r--p 00000000 fe:00 1049 /opt/tope/updater/tope-updater
Size:             159744 kB
Anonymous:             0 kB
0a000000-0b000000 r-xp 09c00000 fe:00 1049 /opt/tope/updater/tope-updater
Anonymous:             8 kB
0b000000-0b100000 rw-p 0ac00000 fe:00 1049 /opt/tope/updater/tope-updater
Anonymous:             0 kB
0b200000-0b300000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000010000 r-xp 00000000 fe:00 77 /opt/tope/updater/tope-updater
Anonymous:             0 kB
AnonHugePages:         0 kB
7f0000010000-7f0000020000 r-xp 00000000 fe:00 77 /lib/another.so.6.0.30
Anonymous:             0 kB
7f0000020000-7f0000028000 r--p 00000000 fe:00 77 /lib/written.so
Anonymous:             4 kB
7f0000028000-7f0000030000 r-xp 00000000 fe:00 77 /lib/replaced.so (deleted)
Anonymous:             0 kB
7f0000030000-7f0000038000 r--p 00000000 fe:00 77 /usr/share/data.so.txt
Anonymous:             0 kB
7f0000038000-7f0000040000 r--s 00000000 fe:00 1049 /opt/tope/updater/tope-updater
Anonymous:             0 kB
7f0000040000-7f0000050000 r--p 00000000 00:01 79 /dev/zero
Anonymous:             0 kB
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`;

test('only private read-only mappings of the executable and of libraries without a page of their own are given back', () => {
  assert.equal(cleanFileMappings(smaps, '/opt/tope/updater/tope-updater'), [
    { address: 0x400000n, length: 0x9c00000n },
    { address: 0x7f0000000000n, length: 0x10000n },
    { address: 0x7f0000010000n, length: 0x10000n },
  ]);
});

test('buffers that are told of keep the resident size from growing', async () => {
  const memory = await realMemory();
  memory.trim();
  const before = process.memoryUsage().arrayBuffers;
  for (let made = 0; made < 400; made++) memory.produced(Buffer.alloc(limits.chunkBytes).length);
  const grownBytes = process.memoryUsage().arrayBuffers - before;
  assert.ok(grownBytes < 4 * limits.garbageBytes, `${grownBytes} bytes of 25 MB are still held`);
});

test.run();
