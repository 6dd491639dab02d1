/**
 * Which services a transaction has to do with: one is stopped only if a file, its unit or its part of the manifest changes (spec
 * section 9), or commands of one of its modules run, which need it to be down.
 */
import { posix } from 'node:path';
import { openRecord } from '../deploy/deployed-record.ts';
import { type Plan, summaryOf } from '../deploy/plan.ts';
import type { Recorded } from '../deploy/recorded.ts';
import { UpdateError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import type { Release, ServiceSpec } from '../release.ts';
import { hasProcess, type OneService, oneServices } from '../services/one-service.ts';

/** The specs of a plan whose services are stopped and started, of the set it leads to and of the one that is there. */
export interface ChangedServices {
  readonly target: readonly ServiceSpec[];
  readonly before: readonly ServiceSpec[];
}

export function changedServices(plan: Plan): ChangedServices {
  const withCommands = new Set(plan.commands?.map(({ module }) => module));
  const isChanged = changeIn(plan, withCommands);
  const changed = servicesIn(plan).filter((service) => plan.reboot || isChanged(service));
  return {
    target: changed.flatMap((service) => service.target),
    before: changed.flatMap((service) => service.before),
  };
}

/** Modules of whose services nothing changes, also not by `changed`, the names of modules of which something else does. */
export function unchangedServices(plan: Plan, changed: ReadonlySet<string>): ReadonlySet<string> {
  const isChanged = changeIn(plan, changed);
  const unchanged = servicesIn(plan).filter((service) => hasProcess(service) && !isChanged(service));
  return new Set(unchanged.flatMap(({ target }) => target.map(({ module }) => module)));
}

function servicesIn({ services, servicesBefore = [] }: Plan): OneService[] {
  return oneServices(services, servicesBefore);
}

function changeIn(plan: Plan, others: ReadonlySet<string>): (service: OneService) => boolean {
  const { modules, unitFiles } = summaryOf(plan);
  return ({ target, before }) => {
    const both = [...target, ...before];
    return (
      both.some(({ module, restart }) => modules.has(module) || others.has(module) || restart === 'always') ||
      both.some(({ unit }) => unit !== undefined && unitFiles.some((path) => isOfUnit(path, unit))) ||
      textOf(target) !== textOf(before)
    );
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
export function servicesOfInstall(
  { modules }: Release,
  deployed: Recorded['modules'],
  leaving: readonly string[],
): Required<Pick<Plan, 'services' | 'servicesBefore'>> {
  const recorded = [...deployed.values()].map(({ service }) => service);
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

/** What the record of the update `id` says of services; nothing where it is damaged. */
export async function recordedServices(
  files: Files,
  backupDirectory: string,
  id: string,
): Promise<ServiceSpec[]> {
  const specs: ServiceSpec[] = [];
  try {
    for await (const line of (await openRecord(files, backupDirectory, id)).lines())
      if (line.kind === 'module') specs.push(line.service);
    return specs;
  } catch (thrown) {
    if (thrown instanceof UpdateError) return [];
    throw thrown;
  }
}
