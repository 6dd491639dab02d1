/** `tope-updater pack`: makes a package of a folder. The JSON goes to stdout, what is said of it to stderr. */
import { open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Flags } from '../config.ts';
import { errorText, UpdateError } from '../errors.ts';
import { blockingFiles } from '../host/blocking-files.ts';
import { collectAtOnce, freeMemory } from '../host/memory.ts';
import { downloadBody, packFolder, readSource } from '../pack/pack.ts';
import { openSecretKey, type SigningKey } from '../pack/secret-key.ts';
import type { Release } from '../release.ts';
import type { CommandInvocation } from './arguments.ts';
import { CommandError } from './failure.ts';
import { bytesText, countText } from './figures.ts';
import { isSet, listFlag, textFlag } from './flags.ts';
import { createOutput } from './output.ts';
import { placeAt, textOfFlag } from './place.ts';
import { askHidden } from './prompt.ts';
import { refusalText, targetRulesOf } from './target-rules.ts';

export async function pack({ flags, operands }: CommandInvocation): Promise<number> {
  await collectAtOnce();
  const host = { files: blockingFiles(), memory: freeMemory };
  const source = await sourceAt(operands[0] ?? '');
  const { manifest } = await readSource(host, source.manifestPath);
  const usualName = `${basename(source.folder)}-${manifest.version}.zip`;
  const outputPath = resolve(textFlag(flags, 'output') ?? usualName);
  const name = basename(outputPath);
  const url = packageUrl(flags, name);
  // A name or a URL that no device takes is found out before the work.
  downloadBody(
    { version: manifest.version, sizeBytes: 1, md5: '0'.repeat(32), sha256: '0'.repeat(64) },
    name,
    url,
  );

  const keyPath = textFlag(flags, 'sign');
  const inspection = await packFolder(host, {
    ...source,
    outputPath,
    compress: !isSet(flags, 'store'),
    selfFrom: textFlag(flags, 'self') && resolve(textFlag(flags, 'self') ?? ''),
    signingKey: keyPath === undefined ? undefined : await readSigningKey(keyPath),
    rules: targetRulesOf(flags),
    deltaFrom: await Promise.all(listFlag(flags, 'delta-from').map(olderPackage)),
    onDelta: (text) => say(`delta: ${text}`),
  }).catch((thrown: unknown) => {
    throw thrown instanceof UpdateError
      ? new CommandError(refusalText(thrown), 1, { cause: thrown })
      : thrown;
  });

  const { release, sizeBytes, warnings, signed } = inspection;
  for (const warning of warnings) say(`warning: ${warning}`);
  const files = release.modules.reduce((sum, module) => sum + module.files.length, 0);
  say(
    `${outputPath}: version ${release.version}, ${countText(release.modules.length, 'module')}, ${countText(files, 'file')}, ${bytesText(sizeBytes)}, ` +
      removalText(release) +
      (signed === undefined ? 'not signed' : `signed with key ${signed.keyId}`),
  );
  say(`next, on a device:  tope-updater install ${name}`);
  if (textFlag(flags, 'package-url') === undefined)
    say('or by POST /download with the JSON below; --package-url puts in where devices find the package');
  const body = downloadBody({ version: release.version, ...inspection }, name, url);
  createOutput(process.stdout, process.env).line(JSON.stringify(body, null, 2));
  return 0;
}

function removalText({ remove = [], complete }: Release): string {
  if (complete === true) return 'removes every module that it does not name, ';
  return remove.length === 0 ? '' : `removes ${remove.join(' ')}, `;
}

/** A folder with a manifest.json, or the manifest itself. */
async function sourceAt(place: string): Promise<{ folder: string; manifestPath: string }> {
  const { path, found } = await placeAt(place).catch((thrown: unknown) => {
    const text = `${errorText(thrown)}\n  pack takes a folder with a manifest.json, which tope-updater init makes, or that manifest.json`;
    throw new CommandError(text, 1, { cause: thrown });
  });
  if (found.isFile() && (await isZip(path)))
    throw new CommandError(
      `${place} is a package already; pack takes the folder that it is made of (tope-updater verify ${place} looks at it)`,
    );
  return found.isDirectory()
    ? { folder: path, manifestPath: join(path, 'manifest.json') }
    : { folder: dirname(path), manifestPath: path };
}

/** By its first bytes. */
async function isZip(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === 'PK\x03\x04';
  } finally {
    await file.close();
  }
}

function packageUrl(flags: Flags, name: string): string {
  const given = textFlag(flags, 'package-url') ?? 'https://packages.example/';
  return given.endsWith('/') ? `${given}${encodeURIComponent(name)}` : given;
}

async function olderPackage(place: string): Promise<string> {
  return (await placeAt(place, '--delta-from')).path;
}

async function readSigningKey(path: string): Promise<SigningKey> {
  const text = await textOfFlag('--sign', path);
  return openSecretKey(text, async () => {
    const password = await askHidden(`password of ${path}`);
    say('deriving the key from the password, which takes up to half a minute ...');
    return password;
  });
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
