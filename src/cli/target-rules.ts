/** What a device lets packages write, as `pack` and `verify` take it to be without having one. */

import { type Flags, options, resolveConfig } from '../config.ts';
import { errorText } from '../errors.ts';
import type { TargetRules } from '../package/targets.ts';
import { flagAdvice } from './allowed-roots.ts';

/** Where install.sh puts the updater; a package never writes there. */
export const usualWorkDirectory = '/opt/tope/updater';

/** From `--allow-root`, with the defaults of `run`. */
export function targetRulesOf(flags: Flags): TargetRules {
  const { flag } = options.allow_root;
  const { allow_root: allowedRoots } = resolveConfig({ [flag]: flags[flag] }, undefined);
  return { allowedRoots, workDirectory: usualWorkDirectory };
}

/** What a refusal says, and what may help. */
export function refusalText(thrown: unknown): string {
  const text = errorText(thrown);
  const advice = flagAdvice(text) ?? (/is a symlink to .*, which /.test(text) ? symlinkAdvice : undefined);
  return advice === undefined ? text : `${text}\n  ${advice}`;
}

const symlinkAdvice =
  'the symlinks of a tree must be relative and stay in it (ln -sr); a virtual environment is made with python3 -m venv --copies, or on the device (docs/cookbook.md)';
