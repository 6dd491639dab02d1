/**
 * A whole device in a scratch folder, for any suite that wants to see the built daemon at work.
 *
 *     await withDevice(async (device) => {
 *       const request = await device.offer(device.usual('2.0.0'));   // a package, in a store that serves it
 *       const daemon = await device.start();                         // flags and environment may be given
 *       await daemon.post('download', request);
 *       await daemon.reach('toInstall');
 *       await daemon.post('update', { version: '2.0.0' });
 *       await daemon.reach('success');
 *       assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
 *     });
 *
 * The device has two services, alpha (restarted first) and beta, real processes that run in version 1.0.0, and a data
 * file; a package store, a device-api that keeps the reports, and a work directory. Nothing uses a fixed port. All that
 * was started is ended by its pid when the test ends; a test that fails shows what the daemon printed.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type DeviceApi, startDeviceApi } from '../fixtures/device-api-server.ts';
import { buildPackage, type PackageSpec } from '../fixtures/package-builder.ts';
import {
  type Manners,
  runningServices,
  type ServiceEvent,
  serviceEvents,
  shellService,
  startService,
} from '../fixtures/service-programs.ts';
import { type Daemon, type Progress, startDaemon, until } from './daemon.ts';
import { type PackageStore, startPackageStore } from './package-store.ts';

/** What POST /download takes. */
export interface Request {
  readonly version: string;
  readonly package_url: string;
  readonly package_name: string;
  readonly package_size: number;
  readonly package_md5: string;
}

export const serviceNames = ['alpha', 'beta'] as const;
export type ServiceName = (typeof serviceNames)[number];

export interface Device {
  readonly folder: string;
  /** Where packages may write: --allow-root. */
  readonly root: string;
  readonly work: string;
  readonly store: PackageStore;
  readonly deviceApi: DeviceApi;
  /** The program of a service. Its file name is unique on the machine; that is its process name too. */
  program(name: ServiceName): string;
  readonly dataFile: string;
  /** The text of a service's program in a version. */
  programText(name: ServiceName, version: string, manners?: Manners): string;
  /** Ends a service for good. */
  stop(name: ServiceName): Promise<void>;
  /** Ends a service and starts it from what its program is now. */
  restart(name: ServiceName): Promise<void>;
  /** The package that brings alpha, beta and the data file to a version; `files` replaces some of its files. */
  usual(version: string, files?: PackageSpec['files']): PackageSpec;
  /** Builds a package into the store. */
  offer(spec: PackageSpec): Promise<Request>;
  /** Starts the daemon with this device's folders and addresses; `flags` come after, so they win. */
  start(flags?: readonly string[], environment?: Record<string, string | undefined>): Promise<Daemon>;
  /** Offers a package, downloads and installs it; gives how that ended: `success` or `failed`. */
  install(daemon: Daemon, spec: PackageSpec): Promise<Progress>;
  /** `NAME VERSION` of each service that runs right now, by name. */
  running(): string[];
  /** What the services did since the daemon was first started: `start|stop NAME VERSION`. */
  events(): string[];
  /** Every file below the root: path -> mode, owner, MD5. Equal before and after means untouched. */
  files(): Record<string, string>;
  /** Every name below a folder, files and directories, sorted. */
  namesBelow(folder: string): string[];
  close(): Promise<void>;
}

/** Makes a device for one test and takes it away afterwards. */
export async function withDevice(use: (device: Device) => Promise<void>): Promise<void> {
  const device = await makeDevice();
  try {
    await use(device);
  } catch (thrown) {
    const log = join(device.work, 'logs/updater.log');
    if (existsSync(log)) console.log(readFileSync(log, 'utf8'));
    throw thrown;
  } finally {
    await device.close();
  }
}

export async function makeDevice(): Promise<Device> {
  const folder = mkdtempSync(join(tmpdir(), 'device-'));
  const [root, work, storeFolder] = ['opt', 'work', 'store'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [root, work, storeFolder, join(root, 'data')]) mkdirSync(path);
  const eventsFile = join(folder, 'events');
  writeFileSync(eventsFile, '');
  // The scratch folder's own ending: two devices at a time never stop each other's services.
  const tag = basename(folder).slice('device-'.length);
  const processName = (name: ServiceName) => `${name}-${tag}`;
  const program = (name: ServiceName) => join(root, name, processName(name));
  const programText: Device['programText'] = (name, version, manners) =>
    shellService({ name: processName(name), version, eventsFile }, manners);
  const processOf = (name: ServiceName) =>
    runningServices(eventsFile).find((event) => event.name === processName(name));
  const dataFile = join(root, 'data/model.bin');
  const withoutTag = ({ name, version }: ServiceEvent) => `${name.slice(0, -tag.length - 1)} ${version}`;

  for (const name of serviceNames) {
    mkdirSync(join(root, name));
    writeFileSync(program(name), programText(name, '1.0.0'));
    chmodSync(program(name), 0o755);
    startService(program(name));
  }
  writeFileSync(dataFile, 'model of 1.0.0');
  await until('both services run', () => runningServices(eventsFile).length === 2);
  const store = await startPackageStore(storeFolder);
  const deviceApi = await startDeviceApi();
  const daemons: Daemon[] = [];
  let eventsBefore = 0;

  const device: Device = {
    folder,
    root,
    work,
    store,
    deviceApi,
    program,
    programText,
    dataFile,
    stop: async (name) => {
      const old = processOf(name);
      if (old !== undefined) process.kill(old.pid, 'SIGKILL');
      await until(`${name} is gone`, () => processOf(name) === undefined);
    },
    restart: async (name) => {
      await device.stop(name);
      startService(program(name));
      await until(`${name} runs`, () => processOf(name));
    },
    usual: (version, files = {}) => ({
      version,
      modules: [
        ...serviceNames.map((name, index) => ({
          name,
          src: `modules/${name}`,
          dst: program(name),
          process_name: processName(name),
          restart_order: index + 1,
        })),
        { name: 'data', src: 'modules/model.bin', dst: dataFile },
      ],
      files: {
        'modules/alpha': { content: programText('alpha', version), mode: 0o755 },
        'modules/beta': { content: programText('beta', version), mode: 0o755 },
        'modules/model.bin': `model of ${version}`,
        ...files,
      },
    }),
    offer: async (spec) => {
      const name = `package-${spec.version}.zip`;
      const built = await buildPackage(spec, join(storeFolder, name));
      return {
        version: spec.version,
        package_url: `${store.url}/${name}`,
        package_name: name,
        package_size: built.sizeBytes,
        package_md5: built.md5,
      };
    },
    start: async (flags = [], environment = {}) => {
      if (daemons.length === 0) eventsBefore = serviceEvents(eventsFile).length;
      const places = ['--dir', work, '--allow-root', root, '--report-url', deviceApi.url];
      const daemon = await startDaemon(
        [...places, '--gui', join(folder, 'no-gui'), '--log-level', 'debug', ...flags],
        environment,
      );
      daemons.push(daemon);
      return daemon;
    },
    install: async (daemon, spec) => {
      const downloaded = await daemon.post('download', await device.offer(spec));
      if (downloaded.code !== 200) throw new Error(downloaded.msg);
      const waiting = await daemon.reach('toInstall', 'failed');
      if (waiting.stage === 'failed') return waiting;
      const accepted = await daemon.post('update', { version: spec.version });
      if (accepted.code !== 200) throw new Error(accepted.msg);
      return daemon.reach('success', 'failed');
    },
    running: () => runningServices(eventsFile).map(withoutTag).sort(),
    events: () =>
      serviceEvents(eventsFile)
        .slice(eventsBefore)
        .map((event) => `${event.kind} ${withoutTag(event)}`),
    files: () => filesBelow(root),
    namesBelow: (path) => readdirSync(path, { recursive: true, encoding: 'utf8' }).sort(),
    close: async () => {
      for (const daemon of daemons) await daemon.end('SIGKILL');
      for (const { pid } of runningServices(eventsFile)) process.kill(pid, 'SIGKILL');
      await Promise.all([store.close(), deviceApi.close()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return device;
}

function filesBelow(root: string): Record<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names.flatMap((name) => {
      const stat = lstatSync(join(root, name), { throwIfNoEntry: false });
      if (stat === undefined || name.endsWith('.json.new')) return [];
      const { mode, uid, gid } = stat;
      if (stat.isSymbolicLink()) return [[name, `${uid}:${gid} -> ${readlinkSync(join(root, name))}`]];
      const isFile = (mode & 0o170000) === 0o100000;
      const md5 = isFile ? md5Of(join(root, name)) : 'directory';
      return md5 === undefined ? [] : [[name, `${(mode & 0o7777).toString(8)} ${uid}:${gid} ${md5}`]];
    }),
  );
}

/** Undefined where it is gone: a scratch file or package of the daemon may go between the listing and the look. */
function md5Of(path: string): string | undefined {
  try {
    return createHash('md5').update(readFileSync(path)).digest('hex');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
    throw thrown;
  }
}
