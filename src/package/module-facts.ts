/** What a module says beside its files: its service, and how it treats what is on the device already. Pure. */
import { matchesAny } from '../glob.ts';
import { limits } from '../limits.ts';
import type { HealthCheck, ModuleCommands, ReleaseModule, WhenThere } from '../release.ts';
import { invalidManifest as invalid } from './manifest.ts';
import type { ManifestModule } from './manifest-schema.ts';

type Facts = Omit<ReleaseModule, 'target' | 'isTree' | 'files' | 'directories'>;

/** `place` is the module in the manifest, for errors. Throws INVALID_MANIFEST where a key does not fit a file or a tree. */
export function moduleFacts(module: ManifestModule, isTree: boolean, place: string): Facts {
  refuseMisplaced(module, isTree, place);
  return {
    name: module.name,
    ...(module.self === true ? { isSelf: true } : {}),
    owner: module.owner,
    exact: module.exact ?? false,
    config: Array.isArray(module.config) ? module.config : [],
    keep: module.keep ?? [],
    commands: commandsOf(module, place),
    service: {
      module: module.name,
      processName: module.process_name,
      restartOrder: module.restart_order,
      unit: module.service,
      start: module.start,
      health: module.health === undefined ? undefined : healthCheck(module.health),
      enable: module.enable,
      restart: module.restart,
    },
  };
}

/** `path`: below the module's target; undefined for a module that is one file. What both lists name is kept. */
export function whenThere({ config, keep }: ManifestModule, path: string | undefined): WhenThere {
  if (path === undefined) return config === true ? 'config' : 'replace';
  if (matchesAny(keep ?? [], path)) return 'keep';
  return Array.isArray(config) && matchesAny(config, path) ? 'config' : 'replace';
}

function commandsOf(module: ManifestModule, place: string): ModuleCommands | undefined {
  const { before_start, post_cmds, on_undo = [], timeout_s } = module;
  if (before_start !== undefined && post_cmds !== undefined)
    throw invalid(`${place}.post_cmds: is another name for before_start, which is there too`);
  const beforeStart = before_start ?? post_cmds ?? [];
  if (beforeStart.length === 0) {
    if (on_undo.length > 0) throw invalid(`${place}.on_undo: there is no before_start that it could undo`);
    if (timeout_s !== undefined) throw invalid(`${place}.timeout_s: there is no command that it could bound`);
    return undefined;
  }
  const timeoutMs = timeout_s === undefined ? limits.commandTimeoutMs : Math.ceil(timeout_s * 1000);
  return { beforeStart, onUndo: on_undo, timeoutMs };
}

function refuseMisplaced(module: ManifestModule, isTree: boolean, place: string): void {
  const what = isTree ? 'a directory' : 'a file';
  const refuse = (key: string, why: string) => invalid(`${place}.${key}: src is ${what}; ${why}`);
  if (isTree) {
    if (module.config === true) throw refuse('config', 'name what people edit in it, as a list of patterns');
    if (typeof module.capabilities === 'string')
      throw refuse('capabilities', 'name what has them in it: {"bin/ping": "cap_net_raw+ep"}');
    return;
  }
  if (Array.isArray(module.config)) throw refuse('config', 'patterns are for a directory, write true');
  if (typeof module.capabilities === 'object')
    throw refuse('capabilities', 'patterns are for a directory, write the text');
  if (module.keep !== undefined) throw refuse('keep', 'patterns are for a directory');
  if (module.exact !== undefined) throw refuse('exact', 'it is for a directory');
}

function healthCheck(health: NonNullable<ManifestModule['health']>): HealthCheck {
  const timeoutMs =
    health.timeout_s === undefined ? limits.healthTimeoutMs : Math.ceil(health.timeout_s * 1000);
  if (health.http !== undefined) return { kind: 'http', url: health.http, timeoutMs };
  if (health.tcp !== undefined) return { kind: 'tcp', port: health.tcp, timeoutMs };
  if (health.exec !== undefined) return { kind: 'exec', argv: health.exec, timeoutMs };
  throw new Error('a health check of no kind passed the schema');
}
