/** What a device lets packages write, as `pack` and `verify` take it to be without having one. */

import { type Flags, options, resolveConfig } from '../config.ts';
import { errorText } from '../errors.ts';
import type { TargetRules } from '../package/targets.ts';

/** Where install.sh puts the updater; a package never writes there. */
export const usualWorkDirectory = '/opt/tope/updater';

/** From `--allow-root`, with the defaults of `run`. */
export function targetRulesOf(flags: Flags): TargetRules {
  const { flag } = options.allow_root;
  const { allow_root: allowedRoots } = resolveConfig({ [flag]: flags[flag] }, undefined);
  return { allowedRoots, workDirectory: usualWorkDirectory };
}

/** What a refusal says, and the flag where one may help. */
export function refusalText(thrown: unknown): string {
  const text = errorText(thrown);
  if (!text.includes('outside the allowed roots')) return text;
  return `${text}\n  where the devices allow it: --allow-root DIR`;
}
