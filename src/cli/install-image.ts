/**
 * `tope-updater install --root DIR FILE`: installs into a tree that becomes a device's image, with the same checks, transaction,
 * record and history, so that the first update in the field knows what is deployed. No daemon; nothing of the tree runs.
 */

import { basename, join } from 'node:path';
import { type Flags, UsageError } from '../config.ts';
import { addToHistory, entryOfPlan } from '../deploy/history-file.ts';
import { UpdateError } from '../errors.ts';
import { realClock } from '../host/clock.ts';
import { plainFiles, realFiles } from '../host/files.ts';
import type { Files, Host, Log } from '../host/host.ts';
import { freeMemory } from '../host/memory.ts';
import { rootedFiles } from '../host/rooted-files.ts';
import { treeOwners } from '../host/tree-owners.ts';
import { installPackage } from '../operations/install.ts';
import { prepareInstall } from '../operations/prepare.ts';
import { resumeForward, resumeUndo } from '../operations/transaction.ts';
import type { Outcome, TransactionContext } from '../operations/transaction-context.ts';
import { openArchive } from '../package/archive.ts';
import type { Release } from '../release.ts';
import type { Settings } from '../settings.ts';
import { readLeftoverJournal } from '../updater/startup.ts';
import type { CommandInvocation } from './arguments.ts';
import { refuseDowngrade } from './downgrade.ts';
import { CommandError } from './failure.ts';
import { bytesText, countText } from './figures.ts';
import { isSet } from './flags.ts';
import { imageSettings } from './image-settings.ts';
import { createOutput } from './output.ts';
import { type PackageFacts, readFacts } from './package-facts.ts';
import { placeAt } from './place.ts';

const connectionFlags = ['url', 'socket', 'token-file', 'release', 'md5', 'sha256', 'size'];

/** Throws the device's own refusal, or what could not be written; then the tree is as it was. */
export async function installImage(
  { flags, operands }: CommandInvocation,
  rootFlag: string,
  updater: string,
): Promise<number> {
  const [place = ''] = operands;
  const wrong = connectionFlags.find((flag) => flags[flag] !== undefined);
  if (wrong !== undefined) throw new UsageError(`--${wrong} has no meaning with --root: there is no daemon`);
  if (/^https?:\/\//i.test(place)) throw new UsageError('install --root takes a file, not a URL');
  const root = await treeAt(rootFlag);
  const { path } = await placeAt(place);
  // Modes are those that are asked for, whatever the habits of the machine.
  process.umask(0);
  const writtenMs = imageTimeMs(process.env.SOURCE_DATE_EPOCH);
  const files = rootedFiles({ root, files: realFiles(), owners: await treeOwners(root), writtenMs });
  const host = imageHost(files, writtenMs);
  const settings = await imageSettings(flags, root, files);
  const context = await imageContext(host, settings.workDirectory, updater);
  await endWhatWasCut(context);
  const facts = await readFacts(plainFiles(), path);
  const release = await check(context, settings, path, facts, flags);
  const request = {
    version: facts.version,
    package_url: 'file:',
    package_name: basename(path),
    package_size: facts.sizeBytes,
    package_md5: facts.md5,
    ...(facts.sha256 === undefined ? {} : { package_sha256: facts.sha256 }),
  };
  const waiting = { request, seal: null, action: null };
  ended(await installPackage(context, settings, { files: plainFiles(), path }, waiting));
  tell(release, root, basename(path), flags);
  return 0;
}

async function treeAt(given: string): Promise<string> {
  const { path: root } = await placeAt(given);
  if (root === '/')
    throw new UsageError('--root: / is this machine; without --root its daemon installs the package');
  return root;
}

/** What the image was made at, as reproducible-builds.org has it. */
function imageTimeMs(epoch: string | undefined): number {
  if (epoch === undefined || epoch === '') return realClock().now();
  if (!/^\d{1,11}$/.test(epoch))
    throw new UsageError(`SOURCE_DATE_EPOCH: must be seconds since 1970, not "${epoch}"`);
  return Number(epoch) * 1000;
}

function imageHost(files: Files, nowMs: number): Host {
  /** What is planned twice, first to be asked about, is warned of once. */
  const said = new Set<string>();
  const say = (level: string) => (message: string) => {
    const line = `${level}: ${message}\n`;
    if (!said.has(line)) process.stderr.write(line);
    said.add(line);
  };
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: say('warning'),
    error: say('error'),
  };
  const none = () => Promise.reject(new Error('an image has no processes and no network'));
  return {
    files,
    log,
    memory: freeMemory,
    clock: { ...realClock(), now: () => nowMs },
    processes: {
      ownPid: process.pid,
      bootId: none,
      list: async () => [],
      read: async () => undefined,
      readLink: async () => undefined,
      signal: () => false,
      start: none,
      run: none,
    },
    net: { request: none, connect: none },
  };
}

/** Makes the directories of an updater that never ran. */
async function imageContext(host: Host, workDirectory: string, updater: string): Promise<TransactionContext> {
  const { files } = host;
  for (const name of ['tmp', 'logs', 'backups']) await makeDirectories(files, join(workDirectory, name));
  const backups = join(workDirectory, 'backups');
  const never = new AbortController().signal;
  const nothing = async () => undefined;
  return {
    host,
    backupDirectory: backups,
    ownPaths: [],
    isImage: true,
    cancel: never,
    shutdown: never,
    progress: () => undefined,
    onSwitching: () => undefined,
    onRebooting: nothing,
    forget: nothing,
    goesOn: () => false,
    onEnd: async (plan, error) => {
      // A device's first install has no failed one before it.
      if (error !== null) return;
      await addToHistory(files, backups, { ...entryOfPlan(plan, null, host.clock.now()), updater });
    },
  };
}

async function makeDirectories(files: Files, path: string): Promise<void> {
  if (path === '/' || (await files.stat(path))?.kind === 'directory') return;
  await makeDirectories(files, join(path, '..'));
  await files.makeDirectory(path, 0o755);
}

/** A build that was killed in the middle of this left its journal in the tree. */
async function endWhatWasCut(context: TransactionContext): Promise<void> {
  const leftover = await readLeftoverJournal(context.host.files, context.backupDirectory);
  if (leftover.kind === 'none') return;
  if (leftover.kind === 'damaged')
    throw new CommandError(`the journal of the tree is damaged: ${leftover.why}; begin with a fresh tree`);
  const { journal } = leftover;
  const cut = new UpdateError('DEPLOYMENT_FAILED', 'an earlier install into this tree was cut');
  if (journal.state === 'committed') ended(await resumeForward(context, journal));
  else await resumeUndo(context, journal, cut);
}

/** The refusals of the device, and those of an image: what must run on the device cannot run here. */
async function check(
  { host, backupDirectory }: TransactionContext,
  settings: Settings,
  path: string,
  { version }: PackageFacts,
  flags: Flags,
): Promise<Release> {
  const archive = await openArchive({ files: plainFiles(), memory: host.memory }, path);
  try {
    const asked = { version, action: null };
    const { release, plan } = await prepareInstall(host, settings, backupDirectory, archive, asked);
    if (!isSet(flags, 'allow-downgrade')) refuseDowngrade(version, plan.previousVersion, []);
    const commands = release.modules.filter(({ commands: own }) => (own?.beforeStart.length ?? 0) > 0);
    if (commands.length > 0 && !isSet(flags, 'skip-commands'))
      throw new CommandError(
        `before_start of ${commands.map(({ name }) => name).join(', ')} cannot run in a tree that is no running device\n` +
          '  where the image does the same by itself: --skip-commands',
      );
    return release;
  } finally {
    await archive.close();
  }
}

function ended(outcome: Outcome): void {
  if (outcome.kind === 'undone' || outcome.kind === 'stuck') throw outcome.error;
}

/** What was done, and what an install on a running device would have done beside the files. */
function tell({ version, modules }: Release, root: string, name: string, flags: Flags): void {
  const output = createOutput(process.stdout, process.env);
  const files = modules.flatMap((module) => [...module.files]);
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const units = modules.flatMap(({ service }) => (service.enable === true ? (service.unit ?? []) : []));
  if (isSet(flags, 'json')) {
    output.line(JSON.stringify({ version, files: files.length, bytes, enable: units }));
    return;
  }
  output.line(
    `${name}: version ${version} is in ${root}: ${countText(files.length, 'file')}, ${bytesText(bytes)}`,
  );
  for (const unit of units)
    output.line(`to be enabled by the image: systemctl --root=${root} enable ${unit}`);
}
