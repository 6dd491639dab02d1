/** The daemon's own executable, as deploy/launch.sh tells of it by the environment: see deploy/probation.ts. */
import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type OwnExecutable, type OwnFacts, ownExecutable } from '../deploy/probation.ts';
import { errno } from '../errors.ts';
import type { Files, Host } from '../host/host.ts';

/** What dpkg has installed under the name of our package. */
const dpkgLists = ['/var/lib/dpkg/info/tope-updater.list', '/var/lib/dpkg/info/tope-updater-node.list'];

/** As in the names of a release. */
const arches: Readonly<Record<string, string>> = { x64: 'x64', arm64: 'arm64', arm: 'armv7' };

/** Undefined where no launcher has started this process. Call once the lock of the work directory is held. */
export async function findOwnExecutable(
  files: Files,
  hooks: Pick<OwnFacts, 'serving' | 'end'>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<OwnExecutable | undefined> {
  const { TOPE_UPDATER_EXECUTABLE: named, TOPE_UPDATER_FALLBACK: fallback } = environment;
  if (named?.startsWith('/') !== true) return undefined;
  const directory = await realpath(dirname(named));
  const path = join(directory, basename(named));
  return ownExecutable(files, {
    path,
    arch: arches[process.arch] ?? process.arch,
    refusal: await refusalOf(path),
    isFallback: fallback === '1',
    ...hooks,
  });
}

/** Resolves when the daemon at `port` or `socketPath` has answered, whatever it said. */
export async function answersAt(
  { net, clock }: Pick<Host, 'net' | 'clock'>,
  {
    port,
    socketPath,
    host,
  }: { readonly port?: number | undefined; readonly socketPath?: string | undefined; readonly host: string },
): Promise<void> {
  const place =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  for (;;) {
    try {
      const response = await net.request({
        method: 'GET',
        url: port === undefined ? 'http://localhost/healthz' : `http://${place}:${port}/healthz`,
        ...(port === undefined && socketPath !== undefined ? { socketPath } : {}),
        headers: {},
        headTimeoutMs: tryMs,
        stallTimeoutMs: tryMs,
      });
      return response.discard();
    } catch {
      await clock.sleep(tryMs);
    }
  }
}

const tryMs = 1_000;

/** A second installer that knows nothing of the first would bring its own file back one day. */
async function refusalOf(path: string): Promise<string | undefined> {
  for (const list of dpkgLists) {
    const text = await readFile(list, 'utf8').catch((thrown: unknown) => {
      if (errno(thrown) === 'ENOENT') return '';
      throw thrown;
    });
    if (text.split('\n').includes(path))
      return `${path} belongs to a package of dpkg, which alone replaces it`;
  }
  return undefined;
}
