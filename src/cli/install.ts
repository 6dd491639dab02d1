/** `tope-updater install FILE|URL`: finds out what to ask the daemon for, serves it a local file, follows it to the end. The checks are its own. */

import { basename } from 'node:path';
import * as v from 'valibot';
import { type Flags, UsageError } from '../config.ts';
import { type PackageRequest, PackageSchema } from '../download/request.ts';
import { errorText } from '../errors.ts';
import type { HistoryEntry } from '../history.ts';
import { realClock } from '../host/clock.ts';
import { plainFiles } from '../host/files.ts';
import { realNet } from '../host/net.ts';
import type { Notes } from '../notes.ts';
import type { CommandInvocation } from './arguments.ts';
import { askFirst, followTo, followToEnd } from './carry-out.ts';
import { type Client, clientOf, isOnThisMachine, onceThere } from './client.ts';
import { imageFlags } from './device-commands.ts';
import { downgradeText, refuseDowngrade } from './downgrade.ts';
import { CommandError } from './failure.ts';
import { bytesText } from './figures.ts';
import { serveFile } from './file-server.ts';
import { checkedVersion, digestFlag, isSet, textFlag } from './flags.ts';
import { forecastSentence } from './forecast-text.ts';
import { installImage } from './install-image.ts';
import { notesHere } from './notes-text.ts';
import { deviceRules, foreseeInstall } from './on-device.ts';
import { createOutput, type Output } from './output.ts';
import { type PackageFacts, readFacts } from './package-facts.ts';
import { placeAt } from './place.ts';
import { remoteFacts } from './remote-package.ts';

/** A package that the daemon can be told of; `close` ends what serves it. */
interface Offer {
  readonly request: PackageRequest;
  readonly notes: Notes | undefined;
  close(): Promise<void>;
}

/** `updater`: this program's own version. */
export async function install(invocation: CommandInvocation, updater: string): Promise<number> {
  const { flags, operands } = invocation;
  const root = textFlag(flags, 'root');
  if (root !== undefined) return installImage(invocation, root, updater);
  const alone = imageFlags.find(({ flag }) => flags[flag] !== undefined);
  if (alone !== undefined) throw new UsageError(`--${alone.flag} has a meaning with --root only`);
  const [place = ''] = operands;
  const isUrl = /^https?:\/\//i.test(place);
  const client = await clientOf(flags);
  const path = isUrl ? '' : await localPath(place, client);
  const output = createOutput(process.stdout, process.env);
  const history = await onceThere(client.history); // a daemon that is not there is found out before a big file is read
  const offer = isUrl ? await offerUrl(place, flags, output) : await offerFile(path, flags, output);
  try {
    // Before the question: what is refused anyway is not asked about. A daemon of before does not tell its version, and refuses later.
    const installed = (await client.versions())?.installed.version ?? null;
    if (!isSet(flags, 'allow-downgrade')) refuseDowngrade(offer.request.version, installed, history);
    await askFirst(invocation, async () => {
      const question = await questionOf(offer.request, path, history, flags, output);
      return offer.notes === undefined ? question : `${notesHere(offer.notes, process.env)}\n${question}`;
    });
    await carryOut(client, output, flags, offer.request, history);
  } finally {
    await offer.close();
  }
  return 0;
}

async function carryOut(
  client: Client,
  output: Output,
  flags: Flags,
  request: PackageRequest,
  history: readonly HistoryEntry[],
): Promise<void> {
  const options = { client, output, clock: realClock(), isJson: isSet(flags, 'json') };
  const installBegins = onInterrupt(client);
  const allow_downgrade = isSet(flags, 'allow-downgrade');
  await client.download({ ...request, ...(allow_downgrade ? { allow_downgrade } : {}) });
  try {
    const { stage } = await followTo(options, ['toInstall', 'idle']);
    if (stage === 'idle') throw new CommandError('the download was cancelled');
    await client.update({ version: request.version, allow_downgrade });
  } catch (thrown) {
    throw await cancelled(client, thrown, history);
  }
  installBegins();
  await followToEnd(options, history[0]);
  const [last] = await client.history();
  if (!options.isJson && last?.previous_version === request.version && last.version === request.version)
    output.line(`version ${request.version} was installed before, too: what stood as packed was left alone`);
}

/** With what it would do here, where that can be foretold: of a file, by who may read the device's records. `path`: empty for a URL. */
async function questionOf(
  { version, package_name: name, package_size: sizeBytes }: PackageRequest,
  path: string,
  history: readonly HistoryEntry[],
  flags: Flags,
  output: Output,
): Promise<string> {
  const size = bytesText(sizeBytes);
  const question = 'Install it on this device?';
  const usual = `${name}: ${stepText(history, version)}, ${size}`;
  if (path === '') return `${usual}; what it would do is told of a file only. ${question}`;
  output.live('looking at this device ...');
  try {
    const { elsewhere, ...rules } = await deviceRules(connectionOf(flags));
    if (elsewhere !== undefined)
      return `${usual}; the daemon at ${elsewhere} is not the one of this machine, so what it would do cannot be foretold. ${question}`;
    const foreseen = forecastSentence(await foreseeInstall(path, version, rules));
    return `${name}, ${size}: ${foreseen}. ${question}`;
  } catch (thrown) {
    return `${usual}; what it would do cannot be foretold: ${errorText(thrown)}. ${question}`;
  } finally {
    output.live('');
  }
}

/** How the daemon is reached says whether it is the one of this machine. */
function connectionOf({ url, 'token-file': token }: Flags): Flags {
  return { url, 'token-file': token };
}

/** From which version to which. `history`: newest first. */
function stepText(history: readonly HistoryEntry[], version: string): string {
  const installed = history.find(({ outcome }) => outcome === 'success')?.version ?? undefined;
  return installed === undefined ? `version ${version}` : `from ${installed} to ${version}`;
}

/** Nothing that was asked for here is left behind. The error to tell. */
async function cancelled(
  client: Client,
  thrown: unknown,
  history: readonly HistoryEntry[],
): Promise<unknown> {
  const isDowngrade = thrown instanceof CommandError && thrown.message.startsWith('DOWNGRADE_REFUSED');
  const error = isDowngrade ? new CommandError(downgradeText(thrown.message, history)) : thrown;
  try {
    await client.cancel();
    return error;
  } catch (again) {
    const why = errorText(again);
    const first = errorText(error);
    return new CommandError(`${first}\n  and it cannot be cancelled: ${why}`);
  }
}

/** Ctrl-C during the download cancels it, as what serves a file is about to go; an install goes on. The returned function tells that it has begun. */
function onInterrupt(client: Client): () => void {
  let isInstalling = false;
  process.once('SIGINT', () => {
    if (isInstalling) {
      process.stderr.write('\nthe install goes on in the daemon; tope-updater status --watch shows it\n');
      process.exit(130);
    }
    client
      .cancel()
      .then(() => process.stderr.write('\nthe download was cancelled\n'))
      .catch((thrown: unknown) => process.stderr.write(`\n${String(thrown)}\n`))
      .finally(() => process.exit(130));
  });
  return () => {
    isInstalling = true;
  };
}

/** Where the file is, every symlink followed. */
async function localPath(place: string, client: Client): Promise<string> {
  if (!isOnThisMachine(client.place))
    throw new UsageError(
      `install: a file can be handed to a daemon on this machine only, not to ${client.place}; copy it there, or give a URL`,
    );
  const { path, found } = await placeAt(place);
  if (!found.isFile()) throw new CommandError(`${place} is not a file`);
  return path;
}

async function offerFile(path: string, flags: Flags, output: Output): Promise<Offer> {
  output.live(`reading ${basename(path)} ...`);
  const facts = await readFacts(plainFiles(), path);
  output.live('');
  const given = checkedVersion(textFlag(flags, 'release'), '--release');
  if (given !== undefined && given !== facts.version)
    throw new CommandError(`${path} is version ${facts.version}, not ${given}`);
  const request = requestOf(facts, basename(path), 'http://127.0.0.1/');
  const server = await serveFile(plainFiles(), path, request.package_name, facts.md5);
  return { request: { ...request, package_url: server.url }, notes: facts.notes, close: server.close };
}

async function offerUrl(url: string, flags: Flags, output: Output): Promise<Offer> {
  const size = textFlag(flags, 'size');
  if (size !== undefined && !/^\d{1,15}$/.test(size))
    throw new UsageError(`--size: must be a number of bytes, not "${size}"`);
  const facts = await remoteFacts(
    realNet({ environment: process.env }),
    url,
    {
      version: checkedVersion(textFlag(flags, 'release'), '--release'),
      sizeBytes: size === undefined ? undefined : Number(size),
      md5: digestFlag(flags, 'md5'),
      sha256: digestFlag(flags, 'sha256'),
    },
    (bytes) => output.live(`reading the package: ${bytesText(bytes)}`),
  );
  output.live('');
  const name = basename(new URL(url).pathname);
  return { request: requestOf(facts, name, url), notes: facts.notes, close: async () => undefined };
}

/** The daemon's own schema looks at it first, so that a mistake in a flag is named before anything is sent. */
function requestOf(facts: PackageFacts, name: string, url: string): PackageRequest {
  const fields = {
    version: facts.version,
    package_url: url,
    package_size: facts.sizeBytes,
    package_md5: facts.md5,
    package_sha256: facts.sha256,
  };
  const isGoodName = v.safeParse(PackageSchema.entries.package_name, name).success;
  const package_name = isGoodName ? name : `package-${facts.version}.zip`;
  const result = v.safeParse(PackageSchema, { ...fields, package_name });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new CommandError(`${v.getDotPath(issue) ?? 'package'}: ${issue.message}`);
}
