/** A text that begins with the place of a module in the manifest says which module that is. Pure. */
import { quoted } from './path-fault.ts';

/**
 * `modules[1].dst: ...` -> `module "web": modules[1].dst: ...`. As it is where there is one module only, and where it has no
 * name. `modules`: as they stand in the manifest, as yet unchecked.
 */
export function withModuleName(text: string, modules: unknown): string {
  const [, index] = /^modules\[(\d+)\]/.exec(text) ?? [];
  if (index === undefined || !Array.isArray(modules) || modules.length < 2) return text;
  const name = nameOf(modules[Number(index)]);
  return name === undefined ? text : `module ${quoted(name)}: ${text}`;
}

function nameOf(module: unknown): string | undefined {
  if (typeof module !== 'object' || module === null || !('name' in module)) return undefined;
  return typeof module.name === 'string' && module.name !== '' ? module.name : undefined;
}
