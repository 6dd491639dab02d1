/** Progress as lines, and figures as people read them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProgressEvent } from '../../src/cli/client.ts';
import {
  bytesOfText,
  bytesText,
  countText,
  durationText,
  exactText,
  tableLines,
} from '../../src/cli/figures.ts';
import { liveLine, plainLine } from '../../src/cli/progress-view.ts';

const test = suite('views');

const idle: ProgressEvent = {
  stage: 'idle',
  progress: 0,
  message: 'nothing to do',
  error: null,
  kind: null,
  version: null,
  module: null,
  bytes: 0,
  total_bytes: 0,
  bytes_per_second: null,
  download: null,
};
const counted = { stage: 'downloading', progress: 35, bytes: 17_500_000, total_bytes: 50_000_000 } as const;
const unpacking = { stage: 'installing', progress: 50, message: 'unpacking web', module: 'web' } as const;
const failed = { stage: 'failed', progress: 12, error: 'DISK_FULL: no room' } as const;

/** Event -> plain line -> live line on 80 columns. */
const lines: readonly (readonly [Partial<ProgressEvent>, string, string])[] = [
  [{}, 'idle: nothing to do', 'idle         nothing to do'],
  [
    { stage: 'downloading', progress: 1, message: 'downloading the package' },
    'downloading 1 %: downloading the package',
    'downloading  [                                ]    1 %  downloading the package',
  ],
  [
    counted,
    'downloading 35 %: 17.5 of 50.0 MB',
    'downloading  [=============>                          ]   35 %  17.5 of 50.0 MB',
  ],
  [
    { ...counted, bytes_per_second: 4_200_000 },
    'downloading 35 %: 17.5 of 50.0 MB, 4.2 MB/s, 8 s left',
    'downloading  [======>             ]   35 %  17.5 of 50.0 MB, 4.2 MB/s, 8 s left',
  ],
  [
    { ...counted, download: { bytes_fetched: 5_000_000, bytes_reused: 12_500_000, requests: 4 } },
    'downloading 35 %: 17.5 of 50.0 MB; 12.5 MB of it were here already',
    'downloading  [=============>                          ]   35 %  17.5 of 50.0 MB',
  ],
  [{ ...counted, bytes_per_second: 0 }, 'downloading 35 %: 17.5 of 50.0 MB', ''],
  [unpacking, 'installing 50 %: unpacking web', ''],
  [failed, 'failed: DISK_FULL: no room', 'failed       DISK_FULL: no room'],
  [{ stage: 'success', progress: 100, message: 'done' }, 'success: done', 'success      done'],
];
for (const [change, plain, live] of lines)
  test(`as a line: ${plain}`, () => {
    const event = { ...idle, ...change };
    assert.is(plainLine(event), plain);
    const paint = (_: unknown, text: string) => text;
    if (live !== '') assert.is(liveLine(event, { columns: () => 80, paint }), live);
    for (const columns of [20, 40, 60, 80, 200]) {
      const line = liveLine(event, { columns: () => columns, paint });
      assert.ok(line.length < columns, `${columns}: ${line}`);
    }
  });

test('figures', () => {
  const said: readonly (readonly [string, string])[] = [
    [bytesText(0), '0 bytes'],
    [bytesText(999), '999 bytes'],
    [bytesText(1000), '1.0 kB'],
    [bytesText(52_428_800), '52.4 MB'],
    [bytesText(70_520_000_000), '70.52 GB'],
    [exactText(831), '831 bytes'],
    [exactText(52_428_800), '52.4 MB (52428800 bytes)'],
    [bytesOfText(500, 2_000_000), '0.0 of 2.0 MB'],
    [countText(1, 'file'), '1 file'],
    [countText(0, 'file'), '0 files'],
    [durationText(400), '0 s'],
    [durationText(59_400), '59 s'],
    [durationText(60_000), '1 min'],
    [durationText(80_000), '1 min 20 s'],
    [durationText(7_200_000), '2 h'],
    [durationText(7_500_000), '2 h 5 min'],
  ];
  for (const [actual, expected] of said) assert.is(actual, expected);
});

test('a table has its columns under each other, and no blanks at the end of a line', () => {
  assert.equal(
    tableLines([
      ['a', 'bb', 'c'],
      ['aaa', 'b', ''],
    ]),
    ['a    bb  c', 'aaa  b'],
  );
});

test.run();
