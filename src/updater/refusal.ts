/** What a command is refused with, in words, and who may give it. Pure. */
import type { PackageRequest } from '../download/request.ts';
import { UpdateError } from '../errors.ts';
import type { Operation, State } from './event.ts';

/** Throws OPERATION_IN_PROGRESS where what is at hand was not brought by this order of the fleet; undefined: anyone's. */
export function checkOrder({ operation }: State, order: string | undefined): void {
  if (order === undefined || (operation?.kind === 'update' && operation.action === order)) return;
  throw new UpdateError('OPERATION_IN_PROGRESS', `${describe(operation)} is not of the order ${order}`);
}

export function expiry(operation: Operation | null): UpdateError {
  const since =
    operation?.kind === 'update' && operation.verifiedMs !== null
      ? new Date(operation.verifiedMs).toISOString()
      : 'long ago';
  return new UpdateError(
    'PACKAGE_EXPIRED',
    `${describe(operation)} was verified at ${since}, more than 24 hours ago; download it again`,
  );
}

/** Everything but the SHA-256 is equal: one of the two callers is wrong about the package, and which is not for us to say. */
export function otherDigest(waiting: PackageRequest, asked: PackageRequest): UpdateError {
  const known = waiting.package_sha256 ?? 'not given';
  return new UpdateError(
    'OPERATION_IN_PROGRESS',
    `package ${waiting.package_name} (${waiting.version}) waits with package_sha256 ${known}, ${asked.package_sha256} is asked for: cancel it first`,
  );
}

export function busy(state: State): UpdateError {
  return new UpdateError('OPERATION_IN_PROGRESS', `${describe(state.operation)} is in stage ${state.stage}`);
}

export function describe(operation: Operation | null): string {
  switch (operation?.kind) {
    case 'update':
      return `package ${operation.request.package_name} (${operation.request.version})`;
    case 'rollback':
      return `the rollback${operation.version === null ? '' : ` of ${operation.version}`}`;
    case 'repair':
      return 'the repair';
    case undefined:
      return 'an update';
    default:
      return operation satisfies never;
  }
}
