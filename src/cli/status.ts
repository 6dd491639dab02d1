/** `tope-updater status`: what the daemon does right now and what is installed, once or until Ctrl-C. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { configFlag, type Flags } from '../config.ts';
import { readInstalled } from '../deploy/installed-version.ts';
import { errno, errorText } from '../errors.ts';
import type { HistoryEntry } from '../history.ts';
import { realClock } from '../host/clock.ts';
import { plainFiles } from '../host/files.ts';
import { realProcesses } from '../host/processes.ts';
import type { Installed, Versions } from '../installed.ts';
import type { CommandInvocation } from './arguments.ts';
import { type Client, clientOf, isOnThisMachine, type ProgressEvent } from './client.ts';
import { doctorTarget } from './doctor-target.ts';
import { CommandError } from './failure.ts';
import { isSet } from './flags.ts';
import { follow } from './follow.ts';
import { besideTexts, downloadTexts } from './history.ts';
import { installedText, restoredText } from './installed-text.ts';
import { notesHere } from './notes-text.ts';
import { createOutput, type Output } from './output.ts';
import { plainLine } from './progress-view.ts';

/** Exit status 1 where the last update failed. */
export async function status({ flags }: CommandInvocation): Promise<number> {
  const client = await clientOf(flags);
  const output = createOutput(process.stdout, process.env);
  const isJson = isSet(flags, 'json');
  if (isSet(flags, 'watch')) {
    const forEver = { isOver: () => false, patienceMs: Number.POSITIVE_INFINITY };
    await follow({ client, output, clock: realClock(), isJson, ...forEver });
  }
  try {
    const event = await client.current();
    const versions = await client.versions();
    if (isJson) output.line(JSON.stringify({ ...event, ...versions }));
    else await tell(client, output, event, versions);
    return event.stage === 'failed' ? 1 : 0;
  } catch (thrown) {
    if (!(thrown instanceof CommandError) || thrown.exitCode !== 3) throw thrown;
    const installed = await installedHere(flags);
    if (installed !== undefined)
      output.line(isJson ? JSON.stringify({ installed }) : installedText(installed));
    throw thrown;
  }
}

async function tell(
  client: Client,
  output: Output,
  event: ProgressEvent,
  versions: Versions | undefined,
): Promise<void> {
  output.line(plainLine(event));
  const isOver = ['idle', 'success', 'failed'].includes(event.stage);
  const [last] = isOver ? await client.history() : [];
  const restored = restoredText(last, event.error);
  if (restored !== '') output.line(restored);
  if (versions !== undefined) output.line(installedText(versions.installed));
  const { notes = null } = versions?.waiting ?? {};
  if (notes !== null) output.line(notesHere(notes, process.env));
  if (last === undefined || event.stage === 'failed') return;
  const beside = besideTexts(isOnThisMachine(client.place) ? await stillBeside(last) : last);
  for (const text of [...downloadTexts(last), ...beside]) output.line(text);
}

/** Who has compared a file that was put beside his own takes it away: it is to be looked at no more. */
async function stillBeside(last: HistoryEntry): Promise<HistoryEntry> {
  const there = async (paths: readonly string[] = []) => {
    const are = await Promise.all(paths.map(isThere));
    return paths.filter((_, index) => are[index]);
  };
  return {
    ...last,
    put_beside: await there(last.put_beside),
    not_put_beside: await there(last.not_put_beside),
  };
}

/** Also where it cannot be seen from here. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (thrown) {
    return !['ENOENT', 'ENOTDIR'].includes(errno(thrown) ?? '');
  }
}

/** From the work directory, where no daemon answers. Undefined where another machine was asked, or where it cannot be read. */
async function installedHere({ url, dir, [configFlag]: config }: Flags): Promise<Installed | undefined> {
  try {
    const { workDirectory, elsewhere } = await doctorTarget(
      { url, dir, [configFlag]: config },
      realProcesses(),
    );
    if (elsewhere !== undefined) return undefined;
    return await readInstalled(plainFiles(), join(workDirectory, 'backups'));
  } catch (thrown) {
    if (dir === undefined && config === undefined) return undefined;
    throw new CommandError(
      `no daemon answers, and what is installed cannot be read: ${errorText(thrown)}`,
      3,
    );
  }
}
