/** The doctor on this machine's disk and clock: work directory, space, allowed roots, keys, time. */
import { access, constants, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { errno, errorText } from '../errors.ts';
import type { Clock, FileStat, Files } from '../host/host.ts';
import { limits } from '../limits.ts';
import { certificateChecks } from './doctor-certificates.ts';
import type { DoctorTarget } from './doctor-target.ts';
import { bytesText } from './figures.ts';
import { checkOf, type Finding } from './finding.ts';
import { readTrustedKey } from './trusted-key.ts';

type Places = { readonly files: Files; readonly clock: Clock };

/** Less than this leaves no room for the next version of what is installed now. */
const scarceBytes = 100_000_000;
/** No device with this program is older. */
const earliestMs = Date.UTC(2026, 0, 1);
const memoryFilesystems = new Set([0x01021994, 0x858458f6]);

export async function placeChecks({ files, clock }: Places, target: DoctorTarget): Promise<Finding[]> {
  const refusal = await writeCheck(target.daemonPid);
  return [
    ...(target.daemonPid === undefined && !isRoot() ? [ofUser()] : []),
    await workDirectory(files, target.workDirectory, refusal),
    await freeSpace(files, target.workDirectory),
    ...(await Promise.all(
      target.config.allow_root.map((root) => allowedRoot(files, root, target.workDirectory, refusal)),
    )),
    await keys(target),
    ...(await certificateChecks(target.config, clock.now())),
    clockFinding(clock.now()),
  ];
}

function ofUser(): Finding {
  const found = 'not root: what the daemon may write, and what only root may read, is not looked at';
  return checkOf('user').warn(found, 'run it as root: sudo tope-updater doctor');
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

async function workDirectory(files: Files, path: string, refusal: WriteCheck): Promise<Finding> {
  const check = checkOf('work directory');
  const kind = await kindOf(files, path);
  if (kind === undefined)
    return check.fail(
      `${path} is not there`,
      'the daemon makes it at its first start; or name it with --dir',
    );
  if (kind !== 'directory') return check.fail(`${path} is a ${kind}`, 'name a directory with --dir');
  const why = await refusal(path);
  if (why !== undefined)
    return check.fail(
      `${path} cannot be written (${why})`,
      writeAdvice(why, 'run this as root, or mount it read-write'),
    );
  const missing: string[] = [];
  for (const name of ['tmp', 'logs', 'backups'])
    if ((await kindOf(files, join(path, name))) !== 'directory') missing.push(name);
  if (missing.length > 0)
    return check.warn(
      `${path} has no ${missing.join(', ')}`,
      'the daemon makes them at its start; is this the right directory?',
    );
  if (memoryFilesystems.has((await statfs(path)).type))
    return check.fail(`${path} is in memory`, 'a power cut loses state and backups: put it on a disk');
  return check.ok(path);
}

async function freeSpace(files: Files, path: string): Promise<Finding> {
  const check = checkOf('free space');
  try {
    const { freeBytes } = await files.space(path);
    const found = `${bytesText(freeBytes)} free in ${path}`;
    if (freeBytes >= scarceBytes) return check.ok(found);
    const level = freeBytes < limits.reserveBytes ? 'fail' : 'warn';
    return check[level](
      found,
      'an update needs room for the package and for the new files beside the old ones',
    );
  } catch (thrown) {
    return check.fail(`${path}: ${errno(thrown) ?? String(thrown)}`);
  }
}

async function allowedRoot(files: Files, root: string, work: string, refusal: WriteCheck): Promise<Finding> {
  const check = checkOf('allowed root');
  const kind = await kindOf(files, root);
  if (kind === undefined)
    return check.warn(
      `${root} is not there`,
      'packages that write below it are refused or make it; is --allow-root right?',
    );
  if (kind !== 'directory') return check.fail(`${root} is a ${kind}`, 'name a directory with --allow-root');
  const why = await refusal(root);
  if (why !== undefined)
    return check.fail(
      `${root} cannot be written (${why})`,
      writeAdvice(why, 'the daemon runs as root; so should this check'),
    );
  const isApart = await hasOwnFilesystem(files, root, work);
  return isApart
    ? check.warn(
        `${root} is on another filesystem than ${work}`,
        'works, but backups are copies then: they need time and space',
      )
    : check.ok(root);
}

async function hasOwnFilesystem(files: Files, root: string, work: string): Promise<boolean> {
  if ((await kindOf(files, work)) !== 'directory') return false;
  return (await files.space(root)).device !== (await files.space(work)).device;
}

/** What is at the end of every symlink; undefined: nothing. */
async function kindOf(files: Files, path: string): Promise<FileStat['kind'] | undefined> {
  try {
    return (await files.stat(await files.realPath(path)))?.kind;
  } catch (thrown) {
    if (errno(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Why a directory cannot be written, or undefined. */
type WriteCheck = (path: string) => Promise<string | undefined>;

/** As the daemon sees it: its unit may show it another tree (ProtectSystem=, ReadOnlyPaths=). `pid`: undefined: none runs. */
async function writeCheck(pid: number | undefined): Promise<WriteCheck> {
  const root = `/proc/${pid}/root`;
  const isSeen = pid !== undefined && (await writeFault(`${root}/`)) !== 'EACCES';
  return async (path) => {
    const ours = await writeFault(path);
    // What a user may not write says nothing of a daemon that runs as root.
    if (ours === 'EACCES' && pid === undefined && !isRoot()) return undefined;
    if (ours !== undefined || !isSeen) return ours;
    const fault = await writeFault(`${root}${path}`);
    return fault && `${fault} for the daemon`;
  };
}

async function writeFault(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (thrown) {
    return errno(thrown) ?? String(thrown);
  }
}

function writeAdvice(why: string, otherwise: string): string {
  if (why === 'EROFS') return 'it is mounted read-only';
  if (!why.endsWith('for the daemon')) return otherwise;
  return 'its unit hides it: add it to ReadWritePaths=, or loosen ProtectSystem=, then systemctl daemon-reload and restart it';
}

async function keys({ config }: DoctorTarget): Promise<Finding> {
  const check = checkOf('keys');
  if (config.trusted_keys.length === 0)
    return check.warn(
      'packages need no signature',
      'pack with --sign and give the daemon the public key with --trust-key',
    );
  try {
    const read = await Promise.all(config.trusted_keys.map(readTrustedKey));
    return check.ok(`packages must be signed by ${read.map(({ id }) => id).join(' or ')}`);
  } catch (thrown) {
    const found = errorText(thrown);
    return check.fail(found, 'the daemon does not start with such a key');
  }
}

function clockFinding(nowMs: number): Finding {
  const check = checkOf('clock');
  const found = new Date(nowMs).toISOString();
  if (nowMs >= earliestMs) return check.ok(found);
  const advice = 'certificates are not valid at that time: set the clock (timedatectl set-ntp true)';
  return check.fail(`${found} cannot be right`, advice);
}
