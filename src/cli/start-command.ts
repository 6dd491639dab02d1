/** How the daemon of this device is started: by systemd, or by the init script where that is what is installed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** `root`: whose files are looked at. */
export function startCommand(root = '/'): string {
  const hasScript = existsSync(join(root, 'etc/init.d/tope-updater'));
  const hasSystemd = existsSync(join(root, 'run/systemd/system'));
  return hasScript && !hasSystemd ? '/etc/init.d/tope-updater start' : 'systemctl start tope-updater';
}
