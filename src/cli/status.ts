/** `tope-updater status`: what the daemon does right now and what is installed, once or until Ctrl-C. */
import { join } from 'node:path';
import { configFlag, type Flags } from '../config.ts';
import { readInstalled } from '../deploy/installed-version.ts';
import { errorText } from '../errors.ts';
import { realClock } from '../host/clock.ts';
import { plainFiles } from '../host/files.ts';
import { realProcesses } from '../host/processes.ts';
import type { Installed, Versions } from '../installed.ts';
import type { CommandInvocation } from './arguments.ts';
import { type Client, clientOf, type ProgressEvent } from './client.ts';
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
  for (const text of [...downloadTexts(last), ...besideTexts(last)]) output.line(text);
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
