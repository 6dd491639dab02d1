/** Which services a transaction has to do with: one is stopped only if a file, its unit or its part of the manifest changes (spec section 9). */
import { posix } from 'node:path';
import { currentRecord } from '../deploy/current-record.ts';
import { openRecord } from '../deploy/deployed-record.ts';
import { type Plan, summaryOf } from '../deploy/plan.ts';
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import type { Release, ServiceSpec } from '../release.ts';
import { oneServices } from '../services/one-service.ts';

/** The specs of a plan whose services are stopped and started, of the set it leads to and of the one that is there. */
export interface ChangedServices {
  readonly target: readonly ServiceSpec[];
  readonly before: readonly ServiceSpec[];
}

export function changedServices(plan: Plan): ChangedServices {
  const before = plan.servicesBefore ?? [];
  const { modules, unitFiles } = summaryOf(plan);
  const changed = oneServices(plan.services, before).filter((service) => {
    const both = [...service.target, ...service.before];
    return (
      plan.reboot ||
      both.some(({ module, restart }) => modules.has(module) || restart === 'always') ||
      both.some(({ unit }) => unit !== undefined && unitFiles.some((path) => isOfUnit(path, unit))) ||
      textOf(service.target) !== textOf(service.before)
    );
  });
  return {
    target: changed.flatMap((service) => service.target),
    before: changed.flatMap((service) => service.before),
  };
}

/** A unit's file, or one of its drop-ins. */
function isOfUnit(path: string, unit: string): boolean {
  const name = unit.includes('.') ? unit : `${unit}.service`;
  const names = [name, name.replace(/@[^.]*\./, '@.')];
  return names.some(
    (each) => posix.basename(path) === each || posix.basename(posix.dirname(path)) === `${each}.d`,
  );
}

function textOf(specs: readonly ServiceSpec[]): string {
  const sorted = [...specs].sort((a, b) => (a.module < b.module ? -1 : 1));
  const keys = [
    'module',
    'processName',
    'restartOrder',
    'unit',
    'start',
    'health',
    'enable',
    'restart',
  ] as const;
  return JSON.stringify(sorted.map((spec) => keys.map((key) => spec[key] ?? null)));
}

/** Of an install. A service that a leaving module shares with a staying one that is not in the package is restarted without it. `leaving`: names. */
export async function servicesOfInstall(
  files: Files,
  backupDirectory: string,
  { modules }: Release,
  leaving: readonly string[],
): Promise<Required<Pick<Plan, 'services' | 'servicesBefore'>>> {
  const recorded = await recordedServices(files, backupDirectory);
  const coming = new Set(modules.map(({ name }) => name));
  const going = recorded.filter(({ module }) => leaving.includes(module));
  const others = recorded.filter(({ module }) => !coming.has(module) && !leaving.includes(module));
  const shared = oneServices(others, going).flatMap(({ target, before }) =>
    before.length > 0 ? target : [],
  );
  return {
    services: [...modules.map(({ service }) => service), ...shared],
    servicesBefore: [...recorded.filter(({ module }) => coming.has(module)), ...going, ...shared],
  };
}

/** What the record of an update says of services; nothing where there is none, or it is damaged. */
export async function recordedServices(
  files: Files,
  backupDirectory: string,
  id?: string,
): Promise<ServiceSpec[]> {
  const record = id ?? (await currentRecord(files, backupDirectory));
  if (record === undefined) return [];
  const specs: ServiceSpec[] = [];
  try {
    for await (const line of (await openRecord(files, backupDirectory, record)).lines())
      if (line.kind === 'module') specs.push(line.service);
    return specs;
  } catch (thrown) {
    if (thrown instanceof UpdateError) return [];
    throw thrown;
  }
}
