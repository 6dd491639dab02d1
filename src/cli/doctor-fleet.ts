/** The doctor on the fleet: its options, the token's file, and whether the server answers, knows us, and has our time. */
import type { Config } from '../config.ts';
import { errno, errorText } from '../errors.ts';
import type { Host, HttpResponse } from '../host/host.ts';
import { realNet } from '../host/net.ts';
import type { DoctorTarget } from './doctor-target.ts';
import { checkOf, type Finding } from './finding.ts';
import { fleetOptionsOf } from './fleet-options.ts';

const check = checkOf('fleet');
const answerTimeoutMs = 10_000;
/** A certificate, or a token with an end, may be refused for less. */
const clockDriftMs = 5 * 60_000;

/** Empty where the device belongs to no fleet. The server sees one poll more. */
export async function fleetChecks(
  host: Pick<Host, 'files' | 'clock'>,
  { config, workDirectory }: DoctorTarget,
): Promise<Finding[]> {
  if (config.fleet_url === undefined) return [];
  try {
    const options = await fleetOptionsOf(config, workDirectory, '');
    if (options === undefined) return [];
    const { authorizationOf } = await import('../fleet/token.ts');
    const authorization = await authorizationOf(host, options);
    const url = `${options.url.replace(/\/+$/, '')}/${options.tenant}/controller/v1/${options.id}`;
    return [...(await tokenFile(host, config)), ...(await answer(host, config, url, authorization))];
  } catch (thrown) {
    const found = errorText(thrown);
    return [check.fail(found, 'correct it: docs/fleet.md')];
  }
}

/** That others can read it keeps the daemon from starting; a group may be meant. */
async function tokenFile(
  { files }: Pick<Host, 'files'>,
  { fleet_token_file: path }: Config,
): Promise<Finding[]> {
  if (path === undefined) return [];
  const mode = (await files.stat(await files.realPath(path)))?.mode ?? 0;
  if ((mode & 0o070) === 0) return [check.ok(`${path} is root's alone`)];
  const found = `${path} can be read by its group (mode ${mode.toString(8)})`;
  return [check.warn(found, `chmod 600 ${path}, unless that is meant`)];
}

async function answer(
  { clock }: Pick<Host, 'clock'>,
  config: Config,
  url: string,
  authorization: string | undefined,
): Promise<Finding[]> {
  const net = realNet({
    environment: process.env,
    caFile: config.ca_file,
    clientCertFile: config.cert_file,
    clientKeyFile: config.key_file,
  });
  let response: HttpResponse;
  try {
    response = await net.request({
      method: 'GET',
      url,
      headers: { accept: 'application/json', ...(authorization === undefined ? {} : { authorization }) },
      headTimeoutMs: answerTimeoutMs,
      stallTimeoutMs: answerTimeoutMs,
    });
    response.discard();
  } catch (thrown) {
    const why = errorText(thrown);
    const found = `${url}: ${why} (${errno(thrown) ?? 'unknown'})`;
    return [check.fail(found, 'is fleet_url right, and ca_file the CA of its certificate?')];
  }
  return [statusFound(url, response.status), ...driftFound(response, clock.now())];
}

function statusFound(url: string, status: number): Finding {
  if (status === 200) return check.ok(`${url} answers, and knows this device`);
  const found = `${url} answers HTTP ${status}`;
  const advice =
    status === 401
      ? 'the id, the token or the certificate is not the one of a target there; is token authentication enabled?'
      : status === 404
        ? 'is fleet_url without tenant and path, and fleet_tenant right?'
        : 'the log of the server, or of the proxy before it, tells more';
  return check.fail(found, advice);
}

function driftFound({ headers }: HttpResponse, nowMs: number): Finding[] {
  const serverMs = Date.parse(headers.date ?? '');
  if (Number.isNaN(serverMs) || Math.abs(serverMs - nowMs) < clockDriftMs) return [];
  const found = `the server's clock says ${new Date(serverMs).toISOString()}, ours ${new Date(nowMs).toISOString()}`;
  return [check.warn(found, 'set the clock: certificates depend on it')];
}
