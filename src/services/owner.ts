/**
 * Which of the processes of a service's name are the service (spec section 9): those of the user that an earlier update saw it
 * run as, or of root, which nobody can pretend; where none has, of the user of the oldest. The others are namesakes, which
 * anybody can make: stopped, as two programs cannot have one file, but neither started again nor looked at further.
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

/** The service's own of `named`. `knownUid`: whom an earlier update saw; undefined: none has. If none is his or root's, the service is down. */
export function ofService(
  named: readonly RunningProcess[],
  owners: ReadonlyMap<RunningProcess, number>,
  knownUid: number | undefined,
): RunningProcess[] {
  if (knownUid === undefined) return ofLikeliestOwner(named, owners);
  const ofKnown = ofUser(named, owners, knownUid);
  return ofKnown.length > 0 ? ofKnown : ofUser(named, owners, 0);
}

/** The updater's own user. */
export async function ownUid({ processes }: ProcessesHost): Promise<number | undefined> {
  return parseStatusOwner((await processes.read(processes.ownPid, 'status')) ?? '')?.uid;
}

/** Those of `named` that run as root, or, if there are none, as the user of the oldest of them. */
function ofLikeliestOwner(
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
function ofUser(
  named: readonly RunningProcess[],
  owners: ReadonlyMap<RunningProcess, number>,
  uid: number,
): RunningProcess[] {
  return named.filter((process) => owners.get(process) === uid);
}

function olderFirst(a: RunningProcess, b: RunningProcess): number {
  const [left, right] = [BigInt(a.startTime), BigInt(b.startTime)];
  return left < right ? -1 : left > right ? 1 : a.pid - b.pid;
}

/** Whoever ran a set-uid file of root's chose its name, arguments and environment. */
async function isSetUid({ processes }: ProcessesHost, pid: number): Promise<boolean> {
  return isSecureExecution((await processes.read(pid, 'auxv')) ?? '');
}
