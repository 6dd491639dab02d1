/** `tope-updater run`: the daemon. Wires the real parts together; nothing in the work directory is touched before the lock is held. */
import { chmod, lstat, mkdir, realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { type Config, configFlag, type Flags } from '../config.ts';
import { errno, errorText } from '../errors.ts';
import type { Fleet } from '../fleet/client.ts';
import { realClock } from '../host/clock.ts';
import { watchDirectory } from '../host/directory-watch.ts';
import { realFiles } from '../host/files.ts';
import type { Host, Memory } from '../host/host.ts';
import { isListenedOn } from '../host/listening.ts';
import { lockDirectory } from '../host/lock.ts';
import { openLog, type RunningLog } from '../host/log.ts';
import { realNet } from '../host/net.ts';
import { processFacts } from '../host/process-facts.ts';
import { realProcesses } from '../host/processes.ts';
import { keepScratchIn } from '../host/scratch-file.ts';
import { strangerAt } from '../host/trust.ts';
import { createEvents } from '../http/events.ts';
import { createMetrics } from '../http/metrics.ts';
import { type RunningServer, startServer } from '../http/server.ts';
import { createReporter } from '../report/reporter.ts';
import { boundOutputs } from '../services/output.ts';
import type { Settings } from '../settings.ts';
import { proveItself } from '../updater/prove.ts';
import { createUpdater } from '../updater/runner.ts';
import type { RunningUpdater } from '../updater/state.ts';
import { createAfterStart } from './after-start.ts';
import { fleetOptionsOf } from './fleet-options.ts';
import { linkJournal } from './journal-link.ts';
import { loadConfig } from './load-config.ts';
import { answersAt, findOwnExecutable } from './own-executable.ts';
import { ownPaths } from './own-files.ts';
import { portPatience } from './port-patience.ts';
import { tlsFileFaults } from './tls-files.ts';
import { readToken } from './token.ts';
import { readTrustedKey } from './trusted-key.ts';

/** Runs until SIGTERM or SIGINT. Rejects where it cannot start: the message says what is in the way. */
export async function run(flags: Flags, version: string, memory: Memory): Promise<void> {
  const config = await loadConfig(flags);
  const token = config.token_file === undefined ? undefined : await readToken(config.token_file);
  const { port } = config;
  const patience = portPatience();
  if (port !== undefined && port !== 0 && (await isListenedOn(port)))
    await patience(() => assertPortFree(config.host, port));
  const workDirectory = await prepareWorkDirectory(resolve(config.dir));
  const log = await openLog({
    directory: join(workDirectory, 'logs'),
    level: config.log_level,
    format: config.log_format,
    stdout: process.stdout,
  });
  log.info(`tope-updater ${version} starts in ${workDirectory}, pid ${process.pid}`);
  const host = realHost(config, log, memory);
  let listens: (port: number | undefined) => void = () => undefined;
  const listening = new Promise<number | undefined>((resolve) => {
    listens = resolve;
  });
  const executable = await findOwnExecutable(host.files, {
    serving: async () =>
      answersAt(host, { host: config.host, port: await listening, socketPath: config.socket }),
    end: () => stop('another executable is due'),
  });
  const settings = { ...(await settingsOf(config, workDirectory, flags[configFlag])), executable, version };
  for (const path of [workDirectory, ...(settings.ownPaths ?? [])]) {
    const stranger = await strangerAt(path);
    if (stranger !== undefined) log.warn(`${stranger}: whoever that is can become root through ${path}`);
  }
  if (executable !== undefined)
    await linkJournal(dirname(executable.path), workDirectory).catch((thrown: unknown) =>
      log.warn(
        `${errorText(thrown)}: a boot after a cut finds the journal only after the services have started`,
      ),
    );
  // Files installed by hand need none of them: it starts all the same.
  for (const fault of await tlsFileFaults(config))
    log.error(`${fault}: no package can be downloaded over https`);
  const reporter = createReporter(host, {
    url: config.report_url,
    outboxPath: join(workDirectory, 'tmp', 'outbox.json'),
  });
  const events = createEvents(host.clock, () => updater.progress());
  const fleet = await fleetOf(host, config, workDirectory, version, () => updater);
  const metrics = createMetrics({
    version,
    clock: host.clock,
    updater: () => updater,
    processFacts,
    watchers: events.watchers,
    fleet: () => fleet,
  });
  const afterStart = createAfterStart(host, ofEveryUpdate);
  const listeners = [reporter, events, metrics, afterStart, ...(fleet === undefined ? [] : [fleet])];
  const updater = createUpdater(
    host,
    { ...settings, authorizationFor: fleet?.authorizationFor },
    listeners.map(({ listener }) => listener),
  );
  const outputs = boundOutputs(host, join(workDirectory, 'logs'), watchDirectory);
  let server: RunningServer | undefined;
  const stop = onStopSignal(log, async () => {
    await fleet?.stop();
    await updater.stop();
    await Promise.all([server?.close(), reporter.stop(), outputs.stop()]);
    await executable?.note('ended');
    log.info('stopped');
    await log.close();
    process.exit(0);
  });

  await reporter.start();
  // Before anyone can ask: the first answer must already tell of an install that is half done.
  await updater.recover();
  server = await patience(() =>
    startServer(updater, {
      host: config.host,
      port: config.port,
      socketPath: config.socket,
      token,
      version,
      log,
      clock: host.clock,
      memory,
      onRequest: afterStart.asked,
      events,
      metrics: metrics.text,
      screenActions: config.screen_actions === 'none' ? [] : config.screen_actions?.split(','),
      fleet,
    }),
  );
  log.info(`listening on ${describeAddress(config, server.port)}`);
  listens(server.port);
  proveItself(host, settings, updater).catch((thrown: unknown) => log.error(`probation: ${String(thrown)}`));
  fleet?.begin();
  afterStart.begin();
}

/** What every update needs, and what takes long to be loaded: 5 to 16 ms each (docs/performance.md). */
const ofEveryUpdate = [() => import('node:crypto'), () => import('node:zlib')];

/** Says so at once where the port is taken at this address, before anything else is done. */
async function assertPortFree(host: string, port: number): Promise<void> {
  const probe = createServer();
  await new Promise<void>((done, fail) => {
    probe.once('error', (error) => {
      const place = `port ${port} of ${host}`;
      if (errno(error) !== 'EADDRINUSE')
        return fail(new Error(`${place} cannot be had: ${error.message}`, { cause: error }));
      import('../host/port-owner.ts')
        .then(({ listenerOn }) => listenerOn(port))
        .then((who = 'another program') =>
          fail(new Error(`${place} is taken: ${who} listens there`, { cause: error })),
        )
        .catch(fail);
    });
    probe.listen({ host, port, exclusive: true }, done);
  });
  await new Promise((done) => probe.close(done));
}

/** FR-031, FR-032: the directories, 0755. Resolves with the work directory's path, free of symlinks: the files port follows none. */
async function prepareWorkDirectory(named: string): Promise<string> {
  // chmod: the umask has its say in the mode of a mkdir, and none here.
  const refused = (what: string) => (thrown: unknown) => {
    const isForeign = errno(thrown) === 'EACCES' || errno(thrown) === 'EPERM';
    const advice = isForeign ? '; run it as root, or with a --dir of your own' : '';
    throw new Error(`${what}: ${errorText(thrown)}${advice}`, { cause: thrown });
  };
  const made = await mkdir(named, { recursive: true }).catch(refused(`cannot make ${named}`));
  if (made !== undefined) await chmod(named, 0o755);
  const path = await realpath(named);
  const isOurs = await lockDirectory(path).catch(refused(`cannot lock ${path}`));
  if (!isOurs) throw new Error(`another tope-updater works in ${path}`);
  for (const name of ['tmp', 'logs', 'backups']) {
    const directory = join(path, name);
    await mkdir(directory).then(
      () => chmod(directory, 0o755),
      (thrown: unknown) => {
        if (errno(thrown) !== 'EEXIST') throw thrown;
      },
    );
    // A symlink would lead what is written here to wherever its owner likes.
    if (!(await lstat(directory)).isDirectory())
      throw new Error(`${directory} is not a directory of its own`);
  }
  keepScratchIn(join(path, 'tmp'));
  return path;
}

function realHost(config: Config, log: RunningLog, memory: Memory): Host {
  const net = realNet({
    environment: process.env,
    caFile: config.ca_file,
    clientCertFile: config.cert_file,
    clientKeyFile: config.key_file,
    produced: memory.produced,
    beforeBulkHandshake: memory.trim,
  });
  return { files: realFiles(memory), clock: realClock(), processes: realProcesses(), net, log, memory };
}

/** Loaded where there is one only. Throws a UsageError that names the option. */
async function fleetOf(
  host: Host,
  config: Config,
  workDirectory: string,
  version: string,
  updater: () => RunningUpdater,
): Promise<Fleet | undefined> {
  const options = await fleetOptionsOf(config, workDirectory, version);
  if (options === undefined) return undefined;
  return (await import('../fleet/client.ts')).createFleet(host, options, updater);
}

async function settingsOf(
  config: Config,
  workDirectory: string,
  configPath: Flags[string],
): Promise<Settings> {
  return {
    workDirectory,
    allowedRoots: config.allow_root,
    ownPaths: await ownPaths(config, typeof configPath === 'string' ? configPath : undefined),
    allowHttp: config.allow_http,
    guiPath: config.gui,
    trustedKeys: await Promise.all(config.trusted_keys.map(readTrustedKey)),
    deviceType: config.device_type,
    keepPackage: config.keep_package,
    auditIntervalMs: config.audit_interval_s === undefined ? undefined : config.audit_interval_s * 1000,
    bytesPerSecond: config.rate_limit,
    adaptiveDownload: config.adaptive_download !== false,
    networkWaitMs: (config.download_wait_s ?? 0) * 1000,
    downloadDeadlineMs:
      config.download_deadline_s === undefined ? undefined : config.download_deadline_s * 1000,
  };
}

function describeAddress(config: Config, port: number | undefined): string {
  const places = [port === undefined ? undefined : `${config.host} port ${port}`, config.socket];
  return places.filter((place) => place !== undefined).join(' and ');
}

/** FR-030. A second signal changes nothing: what is being finished is finished. */
function onStopSignal(log: RunningLog, stop: () => Promise<void>): (why: string) => void {
  let isStopping = false;
  const handle = (why: string) => {
    log.info(isStopping ? `${why} again: already stopping` : `${why}: stopping`);
    if (isStopping) return;
    isStopping = true;
    stop().catch((thrown: unknown) => {
      log.error(`stopping: ${String(thrown)}`);
      process.exit(1);
    });
  };
  process.on('SIGTERM', handle);
  process.on('SIGINT', handle);
  return handle;
}
