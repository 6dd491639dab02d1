/** Finds out whether what was started stays up for `limits.serviceSettleMs`, once each, and why not. */
import { type ErrorCode, UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { outputSince } from './output.ts';
import { ownersOf, ownUid } from './owner.ts';
import {
  descendantsOf,
  findNamed,
  namedAmong,
  type ProcessesHost,
  type RunningProcess,
  runningProcesses,
  type ServicesHost,
  terminate,
  title,
} from './processes.ts';
import type { Launched } from './start.ts';
import type { Systemd } from './systemd.ts';

/** Throws SERVICE_START_FAILED as soon as a process fails, and at the end for a unit that is not up, a program that is not there or runs twice. */
export async function assertStaysUp(
  host: ServicesHost,
  systemd: Systemd | undefined,
  launched: readonly Launched[],
  signal?: AbortSignal,
): Promise<void> {
  if (launched.length === 0) return;
  await watch(host, launched, limits.serviceSettleMs, signal);
  for (const service of launched) await assertUp(host, systemd, service);
  await assertOnce(host, launched);
}

type LaunchedProcess = Extract<Launched, { kind: 'process' }>;

/**
 * Programs that run while nothing has a name that the next update will look for: it would start one more beside each. Those
 * that take their name late have `limits.processNameMs` for it.
 */
export async function misnamed(
  host: ServicesHost,
  launched: readonly Launched[],
  namesOf: (service: LaunchedProcess) => readonly string[],
  signal?: AbortSignal,
): Promise<LaunchedProcess[]> {
  const deadline = host.clock.elapsed() + limits.processNameMs;
  let nameless = launched.filter((service) => service.kind === 'process');
  for (;;) {
    const running = nameless.length === 0 ? [] : await runningProcesses(host);
    const left: typeof nameless = [];
    // Of whatever user: what has the name is stopped with it.
    for (const service of nameless)
      if (service.exit === undefined && (await namedAmong(host, running, namesOf(service))).length === 0)
        left.push(service);
    nameless = left;
    if (nameless.length === 0 || host.clock.elapsed() >= deadline) return nameless;
    await host.clock.sleep(limits.serviceSettleMs / 4, signal);
  }
}

/** What to tell of one of them. */
export function misnomer({ module, title: what, file }: LaunchedProcess, names: readonly string[]): string {
  const wanted = names.map((name) => `"${name}"`).join(' or ');
  const right = file === undefined ? '' : ` (${file})`;
  return `${module}: started ${what}, but no process named ${wanted} runs: process_name must be the name of its file or script${right}`;
}

/** Ends a program that no name finds, and what it started: who stops services by their names would leave it running. */
export async function endMisnamed(
  host: ServicesHost,
  { pid, exit }: LaunchedProcess,
  signal?: AbortSignal,
): Promise<void> {
  if (exit !== undefined) return;
  const running = await runningProcesses(host);
  const own = running.filter((process) => process.pid === pid);
  await terminate(host, [...own, ...descendantsOf(running, own)], signal);
}

/** Waits `ms`, unless a process fails before: SERVICE_START_FAILED. */
export async function watch(
  host: ServicesHost,
  launched: readonly Launched[],
  ms: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = host.clock.elapsed() + ms;
  while (host.clock.elapsed() < deadline) {
    await host.clock.sleep(limits.processPollMs, signal);
    for (const service of launched) await assertNotFailed(host, service);
  }
}

async function assertNotFailed(host: ServicesHost, service: Launched): Promise<void> {
  if (service.kind === 'unit' || service.exit === undefined || service.exit.outcome === 0) return;
  const { outcome, afterMs } = service.exit;
  const how = typeof outcome === 'number' ? `with exit status ${outcome}` : `by ${outcome}`;
  throw await failure(
    host,
    service,
    `${service.title} ended ${how}, ${afterMs} ms after its start`,
    await outputOf(host, service),
  );
}

async function assertUp(host: ServicesHost, systemd: Systemd | undefined, service: Launched): Promise<void> {
  switch (service.kind) {
    case 'unit': {
      const why = await systemd?.whyDead(service.unit, service.startedBeforeUs);
      if (why === undefined) return;
      throw await failure(
        host,
        service,
        `unit ${service.unit} ${why}`,
        (await systemd?.lastLines(service.unit, service.startedMs)) ?? '',
      );
    }
    case 'process': {
      await assertNotFailed(host, service);
      if (service.exit === undefined || (await isInBackground(host, service))) return;
      throw await failure(
        host,
        service,
        `${service.title} ended with exit status 0, ${service.exit.afterMs} ms after its start, ` +
          `and no process named ${service.names.join(' or ')} runs as its user`,
        await outputOf(host, service),
      );
    }
    default:
      return service satisfies never;
  }
}

/** A program that ended with 0 may have left its real process behind: of its user, or, if that is not known, one as young as the start. */
async function isInBackground(
  host: ProcessesHost,
  { names, uid, startedBootMs }: LaunchedProcess,
): Promise<boolean> {
  const found = await findNamed(host, names);
  const owners = await ownersOf(host, found);
  const own = uid ?? (await ownUid(host));
  return found.some(
    (process) =>
      owners.get(process) === own ||
      (uid === undefined && (Number(process.startTime) + 1) * msPerTick > startedBootMs),
  );
}

/** Of `starttime` in /proc/PID/stat: USER_HZ is 100 on every architecture that the updater runs on. */
const msPerTick = 10;

/** Of each plain service exactly as many run as shall, counted without those that one of them made. */
async function assertOnce(host: ServicesHost, launched: readonly Launched[]): Promise<void> {
  for (const service of launched) {
    if (service.kind === 'unit') continue;
    const [other] = (await topmost(host, service)).slice(service.copies);
    if (other === undefined) continue;
    throw new UpdateError(
      'SERVICE_START_FAILED',
      `${service.module}: two copies run: ${service.title}, and ${title(other)} that ${await parentOf(host, other)} started`,
    );
  }
}

/** After an undo: where something else keeps a service running too, that one stays, and what was started here goes. */
export async function endSecondCopies(
  host: ServicesHost,
  launched: Launched[],
  signal?: AbortSignal,
): Promise<void> {
  if (!launched.some(({ kind }) => kind === 'process')) return;
  await host.clock.sleep(limits.serviceSettleMs, signal);
  for (const service of [...launched]) {
    if (service.kind === 'unit') continue;
    const found = await topmost(host, service);
    if (found.length <= service.copies) continue;
    const own = found.find(({ pid }) => pid === service.pid);
    host.log.warn(`${service.module}: something else keeps it running, so ${service.title} is ended`);
    if (own !== undefined) await terminate(host, [own], signal);
    launched.splice(launched.indexOf(service), 1);
  }
}

/** Processes of the service's names and user that none of the others made; those that the updater started first. */
async function topmost(host: ProcessesHost, service: LaunchedProcess): Promise<RunningProcess[]> {
  const found = await findNamed(host, service.names);
  const owners = await ownersOf(host, found);
  const uid = service.uid ?? owners.get(found.find(({ pid }) => pid === service.pid) ?? { ...noProcess });
  const own = found.filter((process) => uid === undefined || owners.get(process) === uid);
  const top = own.filter(({ parentPid }) => !own.some(({ pid }) => pid === parentPid));
  return top.sort((a, b) => Number(b.pid === service.pid) - Number(a.pid === service.pid));
}

const noProcess: RunningProcess = { pid: 0, parentPid: 0, startTime: '', comm: '', argv: [], exe: undefined };

async function parentOf({ processes }: ProcessesHost, { parentPid }: RunningProcess): Promise<string> {
  const words = ((await processes.read(parentPid, 'cmdline')) ?? '').split('\0').join(' ').trim();
  return `${words.slice(0, 200) || 'an unknown process'} (pid ${parentPid})`;
}

async function outputOf(host: ServicesHost, service: LaunchedProcess): Promise<string> {
  if (service.output === undefined) return '';
  return await outputSince(host.files, service.output.path, service.output.fromByte);
}

/** The whole output goes to the log, its end into the error. */
async function failure(
  host: ServicesHost,
  { module }: Launched,
  what: string,
  output: string,
): Promise<UpdateError> {
  const code: ErrorCode = 'SERVICE_START_FAILED';
  if (output === '') return new UpdateError(code, `${module}: ${what}`);
  const text = output.replace(/[^\P{C}\n]/gu, '?');
  for (const line of text.split('\n')) host.log.error(`${module}: | ${line}`);
  const end = text.slice(-limits.outputErrorChars).replace(/\s*\n\s*/g, ' | ');
  return new UpdateError(code, `${module}: ${what}; it said: ${end}`);
}
