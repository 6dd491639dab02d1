/** What a device lets packages write, as `pack` and `verify` take it to be without having one. */
import { type Flags, options, resolveConfig } from '../config.ts';
import type { TargetRules } from '../package/targets.ts';

/** Where install.sh puts the updater; a package never writes there. */
export const usualWorkDirectory = '/opt/tope/updater';

/** From `--allow-root`, with the defaults of `run`. */
export function targetRulesOf(flags: Flags): TargetRules {
  const { flag } = options.allow_root;
  const { allow_root: allowedRoots } = resolveConfig({ [flag]: flags[flag] }, undefined);
  return { allowedRoots, workDirectory: usualWorkDirectory };
}
