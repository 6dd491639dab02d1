/** Modules that are one service: it is captured, stopped and started once. Pure. */
import type { ServiceSpec } from '../release.ts';
import { commandName } from './proc-text.ts';

/** One service, as the set that a transaction leads to (`target`) and the one that is there now (`before`) describe it. */
export interface OneService {
  readonly target: readonly ServiceSpec[];
  readonly before: readonly ServiceSpec[];
}

/** Specs that share a module, a process name, a unit or a command line are one service; in the order of `target`. */
export function oneServices(target: readonly ServiceSpec[], before: readonly ServiceSpec[]): OneService[] {
  let services: { target: ServiceSpec[]; before: ServiceSpec[]; keys: Set<string> }[] = [];
  const add = (spec: ServiceSpec, set: 'target' | 'before') => {
    const keys = keysOf(spec);
    const same = services.filter((service) => keys.some((key) => service.keys.has(key)));
    const [first = { target: [], before: [], keys: new Set<string>() }, ...others] = same;
    if (same.length === 0) services.push(first);
    for (const other of others) {
      first.target.push(...other.target);
      first.before.push(...other.before);
      for (const key of other.keys) first.keys.add(key);
    }
    services = services.filter((service) => !others.includes(service));
    first[set].push(spec);
    for (const key of keys) first.keys.add(key);
  };
  for (const spec of target) add(spec, 'target');
  for (const spec of before) add(spec, 'before');
  return services;
}

/** Whether anything says which process or unit it is. */
export function hasProcess({ target, before }: OneService): boolean {
  return [...target, ...before].some((spec) => spec.unit !== undefined || processNameOf(spec) !== undefined);
}

/** What the processes of a service are found by; undefined where it has none of its own. */
export function processNameOf({ processName, start }: ServiceSpec): string | undefined {
  return processName ?? commandName(start ?? []);
}

/** A unit's name with its ending. */
export function fullUnitName(name: string): string {
  return /\.(service|socket|target|timer|path)$/.test(name) ? name : `${name}.service`;
}

function keysOf(spec: ServiceSpec): string[] {
  const name = processNameOf(spec);
  return [
    `module ${spec.module}`,
    ...(name === undefined ? [] : [`name ${name}`]),
    ...(spec.unit === undefined ? [] : [`unit ${fullUnitName(spec.unit)}`]),
    ...(spec.start === undefined ? [] : [`start ${spec.start.join('\0')}`]),
  ];
}
