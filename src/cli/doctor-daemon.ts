/** The doctor on the daemon and who it talks with: its API, its service, device-api. */
import type { Config, Flags } from '../config.ts';
import { errno, errorText } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { socketHost, socketPort } from '../host/net-proxy.ts';
import { type Client, clientOf } from './client.ts';
import type { DoctorTarget } from './doctor-target.ts';
import { CommandError } from './failure.ts';
import { countText } from './figures.ts';
import { checkOf, type Finding } from './finding.ts';
import { plainLine } from './progress-view.ts';
import { startCommand } from './start-command.ts';

type Surroundings = Pick<Host, 'files' | 'net' | 'processes'>;

const connectTimeoutMs = 2_000;
const commandTimeoutMs = 5_000;
const unit = 'tope-updater.service';
const initScript = '/etc/init.d/tope-updater';

export async function daemonChecks(
  host: Surroundings,
  target: DoctorTarget,
  flags: Flags,
): Promise<Finding[]> {
  const where = { ...addressOf(target.config), ...addressIn(flags) };
  return [
    await daemon(host, target, where),
    await deployedFiles(where),
    await service(host),
    await deviceApi(host, target.config),
  ].flatMap((finding) => finding ?? []);
}

/** All that can be known of a daemon elsewhere. */
export async function answersOf(url: string, flags: Flags): Promise<Finding[]> {
  const where = { url, 'token-file': flags['token-file'] };
  const answers = async (): Promise<Finding> => {
    try {
      return await stateFound(await clientOf(where));
    } catch (thrown) {
      const [found = ''] = errorText(thrown).split('\n');
      const advice = 'does it listen on that address (run --host), and does nothing in between keep it away?';
      return checkOf('daemon').fail(found, advice);
    }
  };
  const found = await answers();
  return [found, await deployedFiles(where)].flatMap((finding) => finding ?? []);
}

async function daemon(
  host: Surroundings,
  { config, daemonPid }: DoctorTarget,
  where: Flags,
): Promise<Finding> {
  const check = checkOf('daemon');
  try {
    return await stateFound(await clientOf(where));
  } catch (thrown) {
    const [found = ''] = errorText(thrown).split('\n');
    if (!(thrown instanceof CommandError) || thrown.exitCode !== 3)
      return check.fail(found, 'who listens there: ss -ltnp');
    const isTaken = daemonPid === undefined && (await isListening(host, config));
    if (isTaken)
      return check.fail(
        `another program listens on port ${config.port}`,
        'find it with ss -ltnp, or give the daemon another --port',
      );
    const start = startCommand();
    const log = start.startsWith('systemctl')
      ? 'journalctl -u tope-updater'
      : 'logs/start.log and logs/updater.log';
    return check.fail(found, `start it: ${start}; why it ended: ${log}`);
  }
}

async function stateFound(client: Client): Promise<Finding> {
  const check = checkOf('daemon');
  const event = await client.current();
  const found = `answers at ${client.place}; ${plainLine(event)}`;
  if (event.stage !== 'failed') return check.ok(found);
  return check.warn(found, 'tope-updater history tells more');
}

/** What the last audit found; nothing where there was none, or where nobody answers, which is told already. */
async function deployedFiles(where: Flags): Promise<Finding | undefined> {
  const check = checkOf('deployed files');
  const answers = await clientOf(where)
    .then(async (client) => ({ state: await client.audit(), versions: await client.versions() }))
    .catch(() => undefined);
  const report = answers?.state.report ?? null;
  if (report === null) return undefined;
  const when = `at the audit of ${report.ended_at.slice(0, 19)}Z`;
  const advice = 'tope-updater audit names them, with --repair it restores them';
  if (report.unknown !== null) return check.warn(report.unknown);
  const installed = answers?.versions?.installed.version;
  if (installed !== undefined && installed !== report.version)
    return check.warn(
      `the last audit looked at version ${report.version}, installed is ${installed ?? 'nothing'}`,
      'tope-updater audit looks at what is installed now',
    );
  if (report.differing === 0) return check.ok(`${countText(report.files, 'file')} as installed, ${when}`);
  const found = `${countText(report.differing, 'file')} not as installed, ${when}`;
  return check.warn(found, advice);
}

/** Where a daemon of this configuration listens, as the client's flags. */
function addressOf(config: Config): Flags {
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  const token = config.token_file === undefined ? {} : { 'token-file': config.token_file };
  if (config.port === undefined) return { socket: config.socket, ...token };
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '[::]' ? '[::1]' : host;
  return { url: `http://${reachable}:${config.port}`, ...token };
}

function addressIn(flags: Flags): Flags {
  return flags.url === undefined ? {} : { url: flags.url, socket: undefined };
}

async function isListening({ net }: Surroundings, config: Config): Promise<boolean> {
  if (config.port === undefined) return false;
  try {
    await net.connect(config.host, config.port, connectTimeoutMs);
    return true;
  } catch {
    return false;
  }
}

async function service({ files, processes }: Surroundings): Promise<Finding> {
  const check = checkOf('service');
  if ((await files.stat('/run/systemd/system')) === undefined) {
    if ((await files.stat(initScript)) !== undefined) return check.ok(initScript);
    const advice = 'have it started at boot: install.sh sets a service up';
    return check.warn('no systemd here, and no init script', advice);
  }
  const states: string[] = [];
  for (const question of ['is-enabled', 'is-active']) {
    const { stdout, stderr } = await processes.run(['systemctl', question, unit], commandTimeoutMs);
    states.push((stdout.trim() || stderr.trim()).split('\n')[0] ?? '');
  }
  const [enabled = '', active = ''] = states;
  const found = `${unit} is ${enabled}, ${active}`;
  if (enabled !== 'enabled') return check.warn(found, `start it at boot: systemctl enable ${unit}`);
  if (active === 'active') return check.ok(found);
  return check.fail(found, `systemctl start ${unit}; journalctl -u ${unit} says why it ended`);
}

async function deviceApi({ net }: Surroundings, config: Config): Promise<Finding> {
  const check = checkOf('device-api');
  const url = new URL(config.report_url);
  const place = `${url.hostname}:${socketPort(url)}`;
  try {
    await net.connect(socketHost(url), socketPort(url), connectTimeoutMs);
    return check.ok(`listens at ${place}`);
  } catch (thrown) {
    return check.warn(
      `nobody listens at ${place} (${errno(thrown) ?? String(thrown)})`,
      'updates work without it, and the end is reported when it is back; is --report-url right?',
    );
  }
}
