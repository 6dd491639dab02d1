/** What a device with an older version would download of a package: the daemon's own decisions, files unpacked for them, the package as the store. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdaptive } from '../download/adaptive.ts';
import type { Candidates, DeployedCandidate } from '../download/candidates.ts';
import type { PackageRequest } from '../download/request.ts';
import { SourceError } from '../download/source-error.ts';
import type { Traffic } from '../download/traffic.ts';
import { realClock } from '../host/clock.ts';
import { plainFiles } from '../host/files.ts';
import type { Log } from '../host/host.ts';
import { freeMemory } from '../host/memory.ts';
import { packFolder } from '../pack/pack.ts';
import { openArchive } from '../package/archive.ts';
import { lookedAt, readRelease } from '../package/read-release.ts';
import type { TargetRules } from '../package/targets.ts';

const host = { files: plainFiles(), memory: freeMemory };
const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export interface Foretold {
  /** Of the older package. */
  readonly version: string;
  readonly traffic: Traffic;
}

/** `against`: an older package or its folder. The link counts as slow: a device deflates what it can. Throws as the device's reader does. */
export async function foretell(
  packagePath: string,
  request: PackageRequest,
  against: string,
  rules: TargetRules,
): Promise<Foretold> {
  const scratch = await mkdtemp(join(tmpdir(), 'tope-updater-'));
  try {
    const older = (await host.files.stat(against))?.kind === 'directory' ? await packed(against) : against;
    const { version, candidates } = await unpack(older, join(scratch, 'deployed'), rules);
    return { version, traffic: await play(packagePath, request, candidates, scratch) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }

  async function packed(folder: string): Promise<string> {
    const outputPath = join(scratch, 'older.zip');
    const manifestPath = join(folder, 'manifest.json');
    const options = { folder, manifestPath, outputPath, rules, compress: false, signingKey: undefined };
    await packFolder(host, options);
    return outputPath;
  }
}

/** Its files as a device has them. */
async function unpack(
  path: string,
  folder: string,
  rules: TargetRules,
): Promise<{ version: string; candidates: Candidates }> {
  const archive = await openArchive(host, path);
  try {
    const { release } = await readRelease(archive, lookedAt(rules), []);
    const entries = new Map([...archive.entries].map((entry) => [entry.name, entry]));
    const deployed: DeployedCandidate[] = [];
    const names = new Map<string, string>();
    await host.files.makeDirectory(folder, 0o700);
    for (const { entry: name, sha256 } of release.modules.flatMap((module) => [...module.files])) {
      const entry = entries.get(name);
      if (entry === undefined || names.has(name)) continue;
      const place = join(folder, String(names.size));
      names.set(name, place);
      deployed.push({ path: place, sizeBytes: entry.sizeBytes, crc32: entry.crc32, sha256 });
    }
    await archive.extract({
      wanted: new Set(names.keys()),
      open: async ({ name }) => {
        const place = names.get(name) ?? '';
        await writeFile(place, '');
        return { write: (chunk) => writeFile(place, chunk, { flag: 'a' }), end: async () => undefined };
      },
      digest: undefined,
      onBytes: nothing,
      signal: new AbortController().signal,
    });
    const candidates: Candidates = {
      keptPackage: undefined,
      async *deployed() {
        yield* deployed;
      },
    };
    return { version: release.version, candidates };
  } finally {
    await archive.close();
  }
}

/** A download whose store never fails. */
async function play(
  path: string,
  request: PackageRequest,
  candidates: Candidates,
  directory: string,
): Promise<Traffic> {
  const file = await host.files.open(path, 'read');
  const readPart = async (position: number, length: number) => {
    const bytes = Buffer.alloc(Math.min(length, Math.max(0, request.package_size - position)));
    for (let done = 0, got = 1; got > 0 && done < bytes.length; done += got)
      got = await file.read(bytes, done, bytes.length - done, position + done);
    return bytes;
  };
  const parts = { ...host, log: silent, clock: realClock() };
  const adaptive = createAdaptive(parts, request, { directory, candidates, readPart, bytesPerSecond: 1 });
  const traffic = { bytes_fetched: 0, bytes_reused: 0, requests: 0 };
  const asked = (bytes: number) => {
    traffic.bytes_fetched += bytes;
    traffic.requests += 1;
  };
  try {
    for (let at = 0; at < request.package_size; ) {
      const step = await adaptive.next(at);
      switch (step.kind) {
        case 'tail':
          asked(step.to - step.from);
          await adaptive.gotTail(await readPart(step.from, step.to - step.from));
          break;
        case 'make':
          try {
            for await (const _ of step.chunks); // as it is done: what cannot be made is fetched
            if (!step.isFetched) traffic.bytes_reused += step.to - at;
            at = step.to;
          } catch (thrown) {
            if (!(thrown instanceof SourceError)) throw thrown;
            await adaptive.giveUp(step.from, thrown.message);
          }
          break;
        default: {
          const to = step.kind === 'fetch' ? step.to : request.package_size;
          asked(to - at);
          at = to;
        }
      }
    }
    return traffic;
  } finally {
    await file.close();
  }
}

function nothing(): void {
  // hears and keeps nothing
}
