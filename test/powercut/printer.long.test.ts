/**
 * The story of a printer (test/fixtures/printer) with the power cut in the middle of it, on ext4. PRINTER_CUTS is at how many points
 * of all its writes (8 when not given; half as many more after its first update), PRINTER_FILESYSTEM one of filesystems.ts.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { whyNoPrinter } from '../fixtures/printer/made.ts';
import { filesystems, whyUnavailable } from './filesystems.ts';
import { orSkip, whyNotBuilt } from './on-filesystem.ts';
import { cutPrinterStory, summaryOf } from './printer-cuts.ts';

const test = suite('a printer under power cuts');
const { PRINTER_CUTS: cuts = '8', PRINTER_FILESYSTEM: name = 'ext4' } = process.env;
const filesystem = filesystems.find((each) => each.name === name);
if (filesystem === undefined) throw new Error(`PRINTER_FILESYSTEM: no ${name}`);

orSkip(
  test,
  `the story of a printer on ${name}`,
  whyNotBuilt() ?? (await whyNoPrinter()) ?? (await whyUnavailable(filesystem)),
)(`${name}: wherever the story is cut, one version stands, with all that is the user's`, async () => {
  const result = await cutPrinterStory(filesystem, Number(cuts), 1, (line) => console.log(`\n${line}`));
  console.log(`\nmeasured: ${name}: ${summaryOf(result)}`);
  assert.is(result.bad.length, 0);
  assert.ok(result.boots > 0 && result.wentOn > 0);
});

test.run();
