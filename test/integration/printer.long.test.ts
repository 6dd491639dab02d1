/**
 * The story of a printer of real things (test/fixtures/printer): 1.0, 1.1, 1.2 undone, 1.3, two rollbacks, and its user's files and
 * edits intact at every step. With the power cut in the middle of it: test/powercut/printer.long.test.ts.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootMachine } from '../fixtures/printer/machine.ts';
import { makePrinter, whyNoLibrary, whyNoPrinter } from '../fixtures/printer/made.ts';
import { startDaemon } from '../powercut/daemon.ts';
import { makeScratch, removeScratch } from '../powercut/filesystems.ts';
import { orSkip, whyNotBuilt } from '../powercut/on-filesystem.ts';
import { beginning, playStory, servePackages } from '../powercut/printer-story.ts';
import { judgePrinter } from '../powercut/printer-verdict.ts';

const test = suite('the story of a printer');
const noLibrary = await whyNoLibrary();
if (noLibrary !== undefined) console.log(`skipped: the shared library of the printer: ${noLibrary}`);

orSkip(
  test,
  'the story',
  whyNotBuilt() ?? (await whyNoPrinter()),
)("every step leaves one version, the user's files and edits, and its programs", async () => {
  const scratch = await makeScratch();
  try {
    const at = (name: string) => join(scratch, name);
    for (const name of ['work', 'packages']) await mkdir(at(name));
    const printer = await makePrinter(at('opt'));
    const server = await servePackages(printer, at('packages'));
    const machine = await bootMachine(printer, at('tools'));
    const place = { workDirectory: at('work'), allowedRoot: printer.root, socket: at('socket') };
    const daemon = await startDaemon(place, machine.env, [], machine.within);
    const steps: string[] = [];
    try {
      assert.equal((await judgePrinter(printer, beginning, machine, daemon)).faults, []);
      await playStory(printer, daemon, server, {
        moment: () => undefined,
        rested: async (moment) => {
          const { standing, faults } = await judgePrinter(printer, moment, machine, daemon);
          assert.equal(faults, [], `${moment.step}\n${faults.join('\n')}\n${daemon.output()}`);
          steps.push(`${moment.step}: ${standing}`);
        },
      });
    } finally {
      await machine.powerOff();
      server.close();
    }
    assert.is(steps.length, 11);
  } finally {
    await removeScratch(scratch);
  }
});

test.run();
