/**
 * `tope-updater support`: one file with all that is needed to find out what went wrong. Works without a daemon; changes nothing.
 * No secret is in it: query strings and passwords of URLs, tokens and whatever is called a key or a signature are left out of
 * every text, and files that may hold others (packages, journals, keys) are listed by name and size alone.
 */
import { constants, createWriteStream } from 'node:fs';
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { arch, freemem, release, totalmem, uptime } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Config } from '../config.ts';
import { errno } from '../errors.ts';
import { withoutSecrets } from '../host/log.ts';
import { realProcesses } from '../host/processes.ts';
import { limits } from '../limits.ts';
import type { CommandInvocation } from './arguments.ts';
import { doctorTarget } from './doctor-target.ts';
import { CommandError } from './failure.ts';
import { textFlag } from './flags.ts';
import { createOutput } from './output.ts';
import { type TarFile, tarOf } from './tar.ts';

/** `version`: the program's. */
export async function support({ flags }: CommandInvocation, version: string): Promise<number> {
  const { config, workDirectory, daemonPid } = await doctorTarget(flags, realProcesses());
  const now = new Date();
  const name = `tope-updater-support-${now.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const path = resolve(textFlag(flags, 'output') ?? `${name}.tar.gz`);
  await readdir(workDirectory).catch((thrown: unknown) => {
    const why = errno(thrown) ?? String(thrown);
    throw new CommandError(`cannot read the work directory ${workDirectory}: ${why}`, 1, { cause: thrown });
  });
  const clean = await cleaner(config);
  const facts = {
    'versions.json': jsonText({
      ...versions(version),
      time: now.toISOString(),
      daemon_pid: daemonPid ?? null,
    }),
    'config.json': jsonText({ ...config, dir: workDirectory }),
    'files.txt': (await listing(workDirectory)).join(''),
  };
  const contents = async function* (): AsyncGenerator<TarFile> {
    for (const [file, text] of Object.entries(facts))
      yield { name: `${name}/${file}`, content: Buffer.from(clean(text)), modifiedMs: now.getTime() };
    for (const file of textFiles) {
      const found = await textAt(join(workDirectory, file));
      if (found === undefined) continue;
      yield {
        name: `${name}/${file}`,
        content: Buffer.from(clean(found.text)),
        modifiedMs: found.modifiedMs,
      };
    }
  };
  await writeBundle(path, contents());
  createOutput(process.stdout, process.env).line(path);
  return 0;
}

/** Texts of the work directory that go in whole. */
const textFiles = [
  'tmp/state.json',
  'tmp/state.json.damaged',
  'tmp/outbox.json',
  'tmp/fleet.json',
  'tmp/fleet.json.damaged',
  'backups/history.jsonl',
  'logs/audit.json',
  ...Array.from(
    { length: limits.logFiles },
    (_, index) => `logs/updater.log${index === 0 ? '' : `.${index}`}`,
  ),
] as const;

/** Takes the secrets out of a text. */
async function cleaner({ token_file, fleet_token_file }: Config): Promise<(text: string) => string> {
  const tokens: string[] = [];
  for (const path of [token_file, fleet_token_file])
    if (path !== undefined) tokens.push((await readFile(path, 'utf8').catch(() => '')).trim());
  return (text) => {
    const known = tokens.reduce((left, token) => (token === '' ? left : left.replaceAll(token, '...')), text);
    return (
      withoutSecrets(known)
        .replace(/([\w.-]*(?:signature|token|credential|secret|passw|key)[\w.-]*=)[^\s&"']+/gi, '$1...')
        .replace(/\b(bearer|basic|targettoken|gatewaytoken) +[\w.~+/=-]{6,}/gi, '$1 ...')
        // Of a package's seal, in state.json (seal.ts).
        .replace(/("key": *")[0-9a-f]+/g, '$1...')
    );
  };
}

function versions(program: string): Record<string, unknown> {
  return {
    tope_updater: program,
    node: process.version,
    architecture: arch(),
    kernel: release(),
    uptime_s: Math.floor(uptime()),
    memory_bytes: totalmem(),
    free_memory_bytes: freemem(),
  };
}

/** `MODE SIZE TIME PATH` of everything below the work directory, in order of path. */
async function listing(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const lines: string[] = [];
  for (const name of names.sort()) {
    const stat = await lstat(join(folder, name)).catch(() => undefined);
    if (stat === undefined) continue;
    const mode = stat.mode.toString(8).padStart(6, '0');
    lines.push(`${mode} ${String(stat.size).padStart(12)} ${stat.mtime.toISOString()} ${name}\n`);
  }
  return lines;
}

/** Undefined where there is no such file. A link is not followed: it could lead to anybody's secrets. */
async function textAt(path: string): Promise<{ text: string; modifiedMs: number } | undefined> {
  try {
    const stat = await lstat(path);
    if (!stat.isFile()) return undefined;
    const text = await readFile(path, { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NOFOLLOW });
    return { text, modifiedMs: stat.mtimeMs };
  } catch (thrown) {
    if (errno(thrown) === 'ENOENT') return undefined;
    throw new CommandError(`cannot read ${path}: ${errno(thrown) ?? String(thrown)}`, 1, { cause: thrown });
  }
}

/** Never over a file that is there. */
async function writeBundle(path: string, files: AsyncIterable<TarFile>): Promise<void> {
  const { createGzip } = await import('node:zlib');
  try {
    await pipeline(tarOf(files), createGzip(), createWriteStream(path, { flags: 'wx', mode: 0o600 }));
  } catch (thrown) {
    if (errno(thrown) !== 'EEXIST') await rm(path, { force: true });
    throw new CommandError(`cannot write ${path}: ${errno(thrown) ?? String(thrown)}`, 1, { cause: thrown });
  }
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
