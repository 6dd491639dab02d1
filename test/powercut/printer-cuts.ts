/**
 * Power cuts in the story of the printer (printer-story.ts), on a real filesystem: the whole story is recorded once on a block device
 * that remembers every write and flush; then images that a power cut could leave are booted as the machine boots (recovery, services,
 * updater) and judged. They are spread evenly over all the writes; as three quarters of these are of the first update, with its 3000
 * files, half as many more are spread over what follows it.
 *
 * Invariant: everything is asynchronous, because this process serves the recorded device (see fuse-disk.ts).
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootMachine, type Machine } from '../fixtures/printer/machine.ts';
import { makePrinter } from '../fixtures/printer/made.ts';
import type { Printer, PrinterVersion } from '../fixtures/printer/releases.ts';
import { type DaemonPlace, recoverAtBoot, startDaemon } from './daemon.ts';
import { type DiskCut, diskCuts } from './disk-cuts.ts';
import {
  type Filesystem,
  makeFilesystem,
  makeScratch,
  mount,
  removeScratch,
  unmountFully,
} from './filesystems.ts';
import { type DiskEvent, recordedCounts, serveFuseDisk } from './fuse-disk.ts';
import type { Standing } from './printer-files.ts';
import {
  ask,
  beginning,
  type Moment,
  type PackageServer,
  playStory,
  servePackages,
} from './printer-story.ts';
import { judgeFiles, judgePrinter } from './printer-verdict.ts';
import { run } from './run-tool.ts';

const MiB = 1024 * 1024;

export interface PrinterCutsResult {
  readonly cuts: number;
  readonly writes: number;
  readonly flushes: number;
  /** How many images stood in which step of the story, and how many of them had a journal at boot. */
  readonly steps: ReadonlyMap<string, number>;
  readonly boots: number;
  /** How many took another update or a rollback afterwards. */
  readonly wentOn: number;
  readonly bad: readonly string[];
  readonly ms: number;
}

interface Place {
  readonly filesystem: Filesystem;
  readonly scratch: string;
  readonly printer: Printer;
  readonly daemon: DaemonPlace;
  readonly server: PackageServer;
}

/** `cuts`: over all the writes, at least 2: the first and the last are among them. `say` hears of each that is bad. */
export async function cutPrinterStory(
  filesystem: Filesystem,
  cuts: number,
  seed: number,
  say: (line: string) => void,
): Promise<PrinterCutsResult> {
  const started = performance.now();
  const scratch = await makeScratch();
  const at = (name: string) => join(scratch, name);
  for (const name of ['mounted', 'packages', 'tools']) await mkdir(at(name));
  let server: PackageServer | undefined;
  try {
    const sized = { ...filesystem, sizeBytes: Math.max(filesystem.sizeBytes, sizeOf(filesystem)) };
    await makeFilesystem(sized, at('image'));
    await mount(sized, at('image'), at('mounted'));
    const printer = await makePrinter(at('mounted/opt'));
    await mkdir(at('mounted/work'));
    await unmountFully(at('mounted'), at('image'));
    server = await servePackages(printer, at('packages'));
    const daemon = { allowedRoot: printer.root, workDirectory: at('mounted/work'), socket: at('socket') };
    const place: Place = { filesystem: sized, scratch, printer, daemon, server };

    const base = await readFile(at('image'));
    const events = await record(place, Buffer.from(base));
    const steps = new Map<string, number>();
    const bad: string[] = [];
    let [count, boots, wentOn] = [0, 0, 0];
    for (const cut of cutsOf(base, events, cuts, seed)) {
      count += 1;
      await writeFile(at('image'), cut.image);
      const moment = momentOf(cut.marks.at(-1));
      steps.set(moment.step, (steps.get(moment.step) ?? 0) + 1);
      const outcome = await recover(place, moment, count % 3 === 0);
      if (outcome.hadJournal) boots += 1;
      if (outcome.wentOn) wentOn += 1;
      if (outcome.why === undefined) continue;
      bad.push(`${cut.what}, in ${moment.step}: ${outcome.why}`);
      say(bad.at(-1) ?? '');
    }
    return {
      ...{ cuts: count, ...recordedCounts(events), steps, boots, wentOn, bad },
      ms: performance.now() - started,
    };
  } finally {
    server?.close();
    await removeScratch(scratch);
  }
}

function* cutsOf(base: Buffer, events: readonly DiskEvent[], cuts: number, seed: number): Generator<DiskCut> {
  yield* diskCuts(base, events, cuts, seed, { even: true, from: 0 });
  const from = events.findIndex(
    (event) => event.kind === 'mark' && momentOf(event.name).step === 'after 1.0.0',
  );
  yield* diskCuts(base, events, Math.ceil(cuts / 2), seed, { even: true, from });
}

function momentOf(mark: string | undefined): Moment {
  return mark === undefined ? beginning : JSON.parse(mark);
}

/** Room for 3000 files twice, and what the filesystem takes for itself. */
function sizeOf({ type }: Filesystem): number {
  return { ext4: 64, xfs: 64, btrfs: 160 }[type] * MiB;
}

/** The story on the recorded device, from before the mount to after the unmount. */
async function record(
  { filesystem, scratch, printer, daemon: where, server }: Place,
  base: Buffer,
): Promise<readonly DiskEvent[]> {
  const [image, mounted] = [join(scratch, 'disk'), join(scratch, 'mounted')];
  const disk = await serveFuseDisk(base, image);
  await mount(filesystem, image, mounted);
  const machine = await bootMachine(printer, join(scratch, 'tools'));
  try {
    const daemon = await startDaemon(where, machine.env, [], machine.within);
    await playStory(printer, daemon, server, {
      moment: (moment) => disk.mark(JSON.stringify(moment)),
      rested: async (moment) => {
        const { faults } = await judgePrinter(printer, moment, machine, daemon);
        if (faults.length > 0) throw new Error(`${moment.step}: ${faults.join('\n')}\n${daemon.output()}`);
      },
    });
  } finally {
    await machine.powerOff();
  }
  await run(['sync', '-f', mounted]);
  await unmountFully(mounted, image);
  await disk.stop();
  return disk.events;
}

interface Outcome {
  readonly hadJournal: boolean;
  readonly wentOn: boolean;
  /** What is bad. */
  readonly why: string | undefined;
}

/** Boots the image, and judges: what services would start on, then everything when the updater rests. */
async function recover(
  { filesystem, scratch, printer, daemon: where, server }: Place,
  moment: Moment,
  goesOn: boolean,
): Promise<Outcome> {
  const [image, mounted] = [join(scratch, 'image'), join(scratch, 'mounted')];
  let machine: Machine | undefined;
  let hadJournal = false;
  const end = (why?: string, wentOn = false): Outcome => ({ hadJournal, wentOn, why });
  try {
    await mount(filesystem, image, mounted);
    machine = await bootMachine(printer, join(scratch, 'tools'));
    hadJournal = existsSync(join(where.workDirectory, 'backups/journal'));
    // As systemd does it: without a journal the unit is skipped.
    const said = hadJournal ? await recoverAtBoot(where, machine.within) : '';
    if (hadJournal) {
      const { faults } = await judgeFiles(printer, moment, 'before services');
      if (faults.length > 0) return end(`at boot: ${faults.join('\n  ')}\n${said}`);
    }
    await machine.startServices();
    const daemon = await startDaemon(where, machine.env, [], machine.within);
    await daemon.rest(120_000);
    const { standing, faults } = await judgePrinter(printer, moment, machine, daemon);
    if (faults.length > 0) return end(`${faults.join('\n  ')}\n${said}${daemon.output()}`);
    const next = goesOn ? nextOf(standing, moment) : undefined;
    if (next === undefined) return end();
    if (next === '1.3.0') {
      await ask(daemon, 'download', server.requests.get(next), 'toInstall');
      await ask(daemon, 'update', { version: next }, 'success');
    } else await ask(daemon, 'rollback', {}, 'success');
    const then = await judgePrinter(printer, { ...moment, versions: [next] }, machine, daemon);
    const why = `then ${next}: ${then.faults.join('\n  ')}\n${daemon.output()}`;
    return end(then.faults.length === 0 ? undefined : why, true);
  } catch (thrown) {
    return end(thrown instanceof Error ? thrown.message : String(thrown));
  } finally {
    await machine?.powerOff();
    await unmountFully(mounted, image);
  }
}

/** What the device goes on to, to show that it is not stuck; undefined where a user was at work, or all is told. */
function nextOf(standing: Standing, { sittings: [sat = 0, ...more] }: Moment): PrinterVersion | undefined {
  if (standing === 'factory' || more.length > 0) return undefined;
  if (standing === '1.3.0') return '1.1.0';
  return standing === '1.0.0' && sat > 1 ? undefined : '1.3.0';
}

/** In one line. */
export function summaryOf({
  cuts,
  bad,
  boots,
  wentOn,
  writes,
  flushes,
  steps,
  ms,
}: PrinterCutsResult): string {
  const where = [...steps].map(([step, count]) => `${count} in ${step}`).join(', ');
  return `${cuts} power cuts, ${bad.length} bad (${boots} with a journal at boot, ${wentOn} went on to another version; ${writes} writes and ${flushes} flushes recorded; ${where}), ${(ms / 1000).toFixed(0)} s`;
}
