/**
 * A device whose updater can be replaced: the launcher, a supervisor that starts it again whenever it ends, and executables
 * that are small scripts around the bundle, with as many faults as a test wants. Beside the updater every package brings
 * a data file, so that half of an update would be seen.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryEntry } from '../../src/history.ts';
import { type DeviceApi, startDeviceApi } from '../fixtures/device-api-server.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { arch, type MakeUpdater, updatersIn } from '../fixtures/new-updaters.ts';
import { buildPackage, type FileSpec, type PackageSpec } from '../fixtures/package-builder.ts';
import { environmentOf, freePort, type Progress, type Reply, until } from './daemon.ts';
import { type PackageStore, startPackageStore } from './package-store.ts';

const signer = newSigner();

export interface SelfDevice {
  readonly folder: string;
  /** Work directory and place of the executable, as install.sh has it. */
  readonly prefix: string;
  readonly deviceApi: DeviceApi;
  /** Of `run`. */
  readonly options: readonly string[];
  readonly executable: MakeUpdater;
  /** A signed package that brings an updater and the data file. */
  package(version: string, executable: string | Uint8Array, more?: Partial<PackageSpec>): PackageSpec;
  /** Begins to start the updater again whenever it ends; a start without a line in `probation` for so long hangs. */
  supervise(probationS?: number): void;
  /** Stops that and what runs. */
  halt(signal?: NodeJS.Signals): Promise<void>;
  /** Pid of what runs now; undefined between two starts. */
  pid(): number | undefined;
  starts(): number;
  /** Downloads; resolves with where that ended. */
  download(spec: PackageSpec): Promise<Progress>;
  post(name: string, body?: object): Promise<Reply>;
  /** Undefined where nobody answers. */
  progress(): Promise<Progress | undefined>;
  healthz(): Promise<{ version: string } | undefined>;
  reach(...stages: string[]): Promise<Progress>;
  history(): Promise<readonly HistoryEntry[]>;
  /** Keeps all files as they are, for restore(). Only while nothing runs. */
  save(): void;
  restore(): void;
  /** What stands on the disk: the version of the executable, that of the data, and what is left of a transaction. */
  standing(): { readonly updater: string; readonly data: string; readonly left: readonly string[] };
  /** Resolves when nothing but these is left of a transaction. */
  tidied(...left: string[]): Promise<void>;
  log(): string;
  printed(): string;
}

export async function withSelfDevice(use: (device: SelfDevice) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tope-updater-self-'));
  const [prefix, root, storeFolder] = ['updater', 'opt', 'store'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [prefix, root, storeFolder]) mkdirSync(path);
  const store = await startPackageStore(storeFolder);
  const deviceApi = await startDeviceApi();
  const device = await makeDevice({ folder, prefix, root, store, deviceApi });
  try {
    await use(device);
  } catch (thrown) {
    console.log(`${device.log()}\n${device.printed()}`);
    throw thrown;
  } finally {
    await device.halt('SIGKILL');
    await Promise.all([store.close(), deviceApi.close()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Places {
  readonly folder: string;
  readonly prefix: string;
  readonly root: string;
  readonly store: PackageStore;
  readonly deviceApi: DeviceApi;
}

async function makeDevice({ folder, prefix, root, store, deviceApi }: Places): Promise<SelfDevice> {
  const saved = join(folder, 'saved');
  const places = ['updater', 'opt'];
  const dataFile = join(root, 'model.bin');
  const program = join(prefix, 'tope-updater');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let printed = '';
  let starts = 0;
  let running: { readonly pid: number; readonly ended: Promise<void> } | undefined;
  let supervisor: Promise<void> | undefined;
  let isHalted = true;

  const options = Object.entries({
    '--dir': prefix,
    '--allow-root': root,
    '--port': String(port),
    '--report-url': deviceApi.url,
    '--gui': join(folder, 'no-gui'),
    '--trust-key': signer.publicKey,
  }).flat();
  const start = (probationS: number) => {
    starts += 1;
    const child = spawn(join(prefix, 'tope-updater-launch'), ['run', ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: prefix,
      env: environmentOf({ TOPE_UPDATER_PROBATION_S: String(probationS) }),
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
      });
    const ended = new Promise<void>((done) => {
      child.once('exit', (status, signal) => {
        printed += `--- start ${starts} ended: ${signal ?? status}\n`;
        running = undefined;
        done();
      });
    });
    running = { pid: child.pid ?? 0, ended };
    return ended;
  };

  const ask = async <Data>(path: string, init: RequestInit = {}): Promise<Reply<Data> | undefined> => {
    try {
      const response = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(5_000) });
      return (await response.json()) as Reply<Data>;
    } catch {
      return undefined;
    }
  };

  const device: SelfDevice = {
    folder,
    prefix,
    deviceApi,
    options,
    executable: updatersIn(folder),
    package: (version, content, more = {}) => ({
      version,
      modules: [
        { name: 'updater', src: 'updater', self: true },
        { name: 'data', src: 'model.bin', dst: dataFile },
      ],
      withDigests: true,
      sign: (manifest) => signer.sign(manifest),
      ...more,
      files: {
        'updater/': '',
        [`updater/tope-updater-${arch}`]: { content, mode: 0o755 } satisfies FileSpec,
        'model.bin': `model of ${version}`,
        ...more.files,
      },
    }),
    supervise: (probationS = 5) => {
      isHalted = false;
      supervisor = (async () => {
        while (!isHalted) {
          await start(probationS);
          await sleep(50);
        }
      })();
    },
    halt: async (signal = 'SIGTERM') => {
      isHalted = true;
      if (running !== undefined) process.kill(running.pid, signal);
      await supervisor;
    },
    pid: () => running?.pid,
    starts: () => starts,
    download: async (spec) => {
      const name = `package-${spec.version}.zip`;
      const built = await buildPackage(spec, join(store.folder, name));
      const body = {
        version: spec.version,
        package_url: `${store.url}/${name}`,
        package_name: name,
        package_size: built.sizeBytes,
        package_md5: built.md5,
      };
      const reply = await device.post('download', body);
      if (reply.code !== 200) throw new Error(reply.msg);
      return device.reach('toInstall', 'failed');
    },
    post: async (name, body = {}) => {
      const headers = { 'content-type': 'application/json' };
      const reply = await ask<{ status: string }>(`/api/v1.0/${name}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      if (reply === undefined) throw new Error(`nobody answered to ${name}`);
      return reply;
    },
    progress: async () => (await ask<Progress>('/api/v1.0/progress'))?.data,
    healthz: async () => (await ask<{ version: string }>('/healthz'))?.data,
    reach: (...stages) => {
      let last: Progress | undefined;
      return until(
        () => `stage ${stages.join(' or ')}; last: ${JSON.stringify(last)}`,
        async () => {
          last = await device.progress();
          return last !== undefined && stages.includes(last.stage) ? last : undefined;
        },
      );
    },
    history: async () => (await ask<{ updates: HistoryEntry[] }>('/api/v1.0/history'))?.data.updates ?? [],
    save: () => {
      rmSync(saved, { recursive: true, force: true });
      for (const name of places) copyTree(join(folder, name), join(saved, name));
    },
    restore: () => {
      for (const name of places) {
        rmSync(join(folder, name), { recursive: true, force: true });
        copyTree(join(saved, name), join(folder, name));
      }
      printed = '';
      starts = 0;
    },
    standing: () => ({
      updater: /^# updater (.*)$/m.exec(readFileSync(program, 'latin1'))?.[1] ?? 'none',
      data: readFileSync(dataFile, 'utf8'),
      left: ['probation', 'tope-updater.previous', 'backups/journal'].filter((name) =>
        existsSync(join(prefix, name)),
      ),
    }),
    tidied: async (...left) => {
      await until('the end of the tidying', () => String(device.standing().left) === String(left));
    },
    log: () => {
      const path = join(prefix, 'logs/updater.log');
      return existsSync(path) ? readFileSync(path, 'utf8') : '';
    },
    printed: () => printed,
  };
  writeFileSync(join(prefix, 'tope-updater-launch'), readFileSync('deploy/launch.sh'), { mode: 0o755 });
  writeFileSync(`${program}.first`, device.executable('1.0.0'), { mode: 0o755 });
  renameSync(`${program}.first`, program);
  writeFileSync(dataFile, 'model of 1.0.0', { mode: 0o644 });
  return device;
}

/** Without the lock, which is a socket of the one that held it. */
function copyTree(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (path) => basename(path) !== 'lock' });
}
