/** What a package does to a Debian: how apt ends, and which names come and go. */
import * as assert from 'uvu/assert';
import type { Chroot } from './chroot.ts';

export const home = '/opt/tope/updater';

export function install(chroot: Chroot, deb: string): { readonly status: number; readonly output: string } {
  return chroot.run(`apt-get install -y --allow-downgrades ${chroot.bring(deb)}`);
}

/** Throws where apt fails. */
export function installed(chroot: Chroot, deb: string): void {
  const { status, output } = install(chroot, deb);
  assert.is(status, 0, output);
}

/** An empty /opt goes with the last package that had something there: that is dpkg's way. */
export function changes(before: readonly string[], after: readonly string[]): string[] {
  const gone = before
    .filter((name) => !after.includes(name) && !name.startsWith('/opt d '))
    .map((name) => `gone: ${name}`);
  return [...gone, ...after.filter((name) => !before.includes(name))];
}
