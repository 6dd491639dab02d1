/** A package that was refused for where it writes: which roots would let it in, as flags and as the line of the daemon's options. Pure. */
import { dirname } from 'node:path';

const outside = 'outside the allowed roots';

/** For `pack` and `verify`. Undefined where the refusal is another one. */
export function flagAdvice(refusal: string): string | undefined {
  if (!refusal.includes(outside)) return undefined;
  return `where the devices allow it, too: ${rootFlags(refusal)} (what is given replaces the default)`;
}

/** For whoever looks after the daemon that refused. Undefined likewise. */
export function optionsAdvice(refusal: string): string | undefined {
  if (!refusal.includes(outside)) return undefined;
  return [
    'where that is right: this line in /etc/default/tope-updater, with the options that stand there already, then restart the daemon',
    `(what is given replaces the default; with a configuration file: allow_root in it)`,
    `  TOPE_UPDATER_OPTIONS="${rootFlags(refusal)}"`,
  ].join('\n  ');
}

/** The roots that the refusal names, and the directory of what is outside of them; DIR where it cannot be told, or is not to be typed as it is. */
function rootFlags(refusal: string): string {
  const [, roots = '/opt/tope'] = /outside the allowed roots \(([^)]*)\)/.exec(refusal) ?? [];
  const [, target = '/'] = /"(\/[^"\\]*)" is outside the allowed roots/.exec(refusal) ?? [];
  const directory = dirname(target);
  const typed = directory !== '/' && /^[\w./@+:-]+$/.test(directory) ? directory : 'DIR';
  return [...roots.split(', '), typed].map((root) => `--allow-root ${root}`).join(' ');
}
