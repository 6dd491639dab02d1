/** Many small entries, which are inflated together: each comes out as it is, and what is wrong with one is told of that one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import { freeMemory } from '../../src/host/memory.ts';
import { limits } from '../../src/limits.ts';
import { openArchive } from '../../src/package/archive.ts';
import { type RawEntry, rawZip } from '../fixtures/raw-zip.ts';

const directory = mkdtempSync(join(tmpdir(), 'small-entries-'));
const test = suite('small entries');
test.after(() => rmSync(directory, { recursive: true }));

const count = 3 * limits.entriesTogether + 1;

/** Every seventh is stored, every eleventh empty, and one is large. */
function honest(): (RawEntry & { readonly content: string })[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `folder/file-${index}`,
    content:
      index % 11 === 0
        ? ''
        : `${index} `.repeat(index === 50 ? limits.wholeFileBytes : 1 + ((index * 37) % 1500)),
    method: index % 7 === 0 ? 0 : 8,
  }));
}

/** Name and content in the order in which they came. `takes`: whole. */
async function unpack(entries: readonly RawEntry[], takes: boolean): Promise<(readonly [string, string])[]> {
  const path = join(directory, 'package.zip');
  writeFileSync(path, rawZip({ entries }));
  const archive = await openArchive({ files: realFiles(), memory: freeMemory }, path);
  const contents: (readonly [string, string])[] = [];
  try {
    await archive.extract({
      wanted: new Set([...archive.entries].map(({ name }) => name)),
      digest: undefined,
      onBytes: () => undefined,
      signal: new AbortController().signal,
      ...(takes && {
        takeMany: async (group) => {
          contents.push(
            ...group.map(({ entry: { name }, content }) => [name, Buffer.from(content).toString()] as const),
          );
        },
      }),
      open: async ({ name }) => {
        let text = '';
        return {
          write: (chunk) => {
            text += Buffer.from(chunk).toString();
          },
          end: async () => {
            contents.push([name, text]);
          },
        };
      },
    });
  } finally {
    await archive.close();
  }
  return contents;
}

for (const takes of [false, true])
  test(`come out as they went in, in their order, ${takes ? 'many at a time' : 'in chunks'}`, async () => {
    const entries = honest();
    assert.equal(
      await unpack(entries, takes),
      entries.map(({ name, content }) => [name, content]),
    );
  });

const faults: Record<string, readonly [Partial<RawEntry>, RegExp]> = {
  'another checksum': [{ crc32: 0x12345678 }, /"folder\/file-30" is damaged: its CRC-32 is /],
  'bytes behind its end': [
    { data: Buffer.concat([deflateRawSync('thirty'), Buffer.from('more')]), content: 'thirty' },
    /"folder\/file-30" has 4 bytes after the end of its deflated data/,
  ],
  'no end': [
    { data: deflateRawSync('thirty'.repeat(99)).subarray(0, -3), content: 'thirty'.repeat(99) },
    /"folder\/file-30" cannot be inflated: /,
  ],
  'no deflated data': [
    { data: Buffer.from('not deflated'), content: 'thirty' },
    /"folder\/file-30" cannot be inflated: /,
  ],
  'more than it declares': [
    { data: deflateRawSync('thirty and more'), content: 'thirty' },
    /"folder\/file-30" holds more than the 6 bytes it declares/,
  ],
  'less than it declares': [
    { data: deflateRawSync('thirt'), content: 'thirty' },
    /"folder\/file-30" holds 5 bytes, but declares 6/,
  ],
};
for (const [fault, [change, said]] of Object.entries(faults))
  test(`one among many with ${fault} is refused by its name`, async () => {
    const entries = honest().map((entry, index) => (index === 30 ? { ...entry, ...change } : entry));
    const thrown = await unpack(entries, true).then(
      () => new Error('nothing was refused'),
      (reason: Error) => reason,
    );
    assert.match(thrown.message, said);
  });

// The bytes that the reader puts between two members, swallowed by a stored block of the first: what it takes from the second is its own.
test('data that would run on into the next entry is refused', async () => {
  const [first, second] = ['first', 'second'];
  const swallowing = Buffer.from([0x00, 40, 0, 0xff - 40, 0xff]); // a stored block of 40 bytes, not the last
  const entries: RawEntry[] = [
    { name: 'a', content: first, data: swallowing, method: 8 },
    { name: 'b', content: second, method: 8 },
    { name: 'c', content: second, method: 8 },
  ];
  const thrown = await unpack(entries, true).then(
    () => new Error('nothing was refused'),
    (reason: Error) => reason,
  );
  assert.match(thrown.message, /entry "a" cannot be inflated/);
});

test.run();
