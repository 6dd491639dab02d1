/**
 * Which of the processes that go by a service's name are the service (spec section 9): what runs as root, which nobody else can
 * pretend, else what runs as the user of the oldest.
 *
 * The others are namesakes, which anybody can make: they are stopped, as two programs cannot have one file, but are neither
 * started again nor judged, and nothing of what they chose themselves is looked at.
 */
import { isSecureExecution } from '../host/proc-traits.ts';
import { parseStatusOwner } from './proc-text.ts';
import type { ProcessesHost, RunningProcess } from './processes.ts';

/** The real user of each; none where root's rights came from its file's mode: whoever ran it is not known any more. */
export async function ownersOf(
  host: ProcessesHost,
  named: readonly RunningProcess[],
): Promise<ReadonlyMap<RunningProcess, number>> {
  const owners = new Map<RunningProcess, number>();
  for (const process of named) {
    const owner = parseStatusOwner((await host.processes.read(process.pid, 'status')) ?? '');
    if (owner === undefined || (owner.uid === 0 && (await isSetUid(host, process.pid)))) continue;
    owners.set(process, owner.uid);
  }
  return owners;
}

/** Those of `named` that run as root, or, if there are none, as the user of the oldest of them. */
export function ofLikeliestOwner(
  named: readonly RunningProcess[],
  owners: ReadonlyMap<RunningProcess, number>,
): RunningProcess[] {
  const byAge = named.filter((process) => owners.has(process)).sort(olderFirst);
  const [oldest] = byAge;
  if (oldest === undefined) return [];
  const uid = byAge.some((process) => owners.get(process) === 0) ? 0 : owners.get(oldest);
  return byAge.filter((process) => owners.get(process) === uid);
}

/** Those of `named` that run as `uid`. */
export function ofUser(
  named: readonly RunningProcess[],
  owners: ReadonlyMap<RunningProcess, number>,
  uid: number | undefined,
): RunningProcess[] {
  return uid === undefined ? [] : named.filter((process) => owners.get(process) === uid);
}

function olderFirst(a: RunningProcess, b: RunningProcess): number {
  const [left, right] = [BigInt(a.startTime), BigInt(b.startTime)];
  return left < right ? -1 : left > right ? 1 : a.pid - b.pid;
}

/** Whoever ran a set-uid file of root's chose its name, arguments and environment. */
async function isSetUid({ processes }: ProcessesHost, pid: number): Promise<boolean> {
  return isSecureExecution((await processes.read(pid, 'auxv')) ?? '');
}
