/** Updates of a container: a package of any modules, and what the updater said of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPackage, type FileSpec } from '../fixtures/package-builder.ts';
import { type Container, until } from './container.ts';

export interface Module {
  readonly name: string;
  /** Keys of the manifest beside `name` and `src`. */
  readonly keys: Readonly<Record<string, unknown>>;
  readonly file: FileSpec;
}

/** Installs a package of these modules, each of one file, with `manifest` as further keys of the root; gives the updater's words where that fails. */
export async function install(
  container: Container,
  version: string,
  modules: readonly Module[],
  manifest: Readonly<Record<string, unknown>> = {},
): Promise<string | undefined> {
  const scratch = mkdtempSync(join(tmpdir(), 'systemd-package-'));
  const path = join(scratch, 'package.zip');
  await buildPackage(
    {
      version,
      manifest,
      modules: modules.map(({ name, keys }) => ({ name, src: `m/${name}`, ...keys })),
      files: Object.fromEntries(modules.map(({ name, file }) => [`m/${name}`, file])),
    },
    path,
  );
  container.put(`/root/${version}.zip`, readFileSync(path));
  rmSync(scratch, { recursive: true });
  const { status, output } = await container.updater('install', '--yes', `/root/${version}.zip`);
  return status === 0 ? undefined : output;
}

/** Takes the last update back; throws with the updater's words. */
export async function rollback(container: Container): Promise<void> {
  const { status, output } = await container.updater('rollback', '--yes');
  if (status !== 0) throw new Error(output);
}

/**
 * To be called before an install: kills the updater when it stops the socket of `by-socket`, whose service runs then, and once more
 * in what its next start makes of that.
 */
export async function killInMidInstall(container: Container): Promise<void> {
  const log = '/opt/tope/updater/logs/updater.log';
  const kill = 'systemctl kill --kill-who=main -s KILL tope-updater';
  const said = `tail -c +$((size + 1)) ${log} | grep -q "stopping unit by-socket.socket"`;
  const runs = '[ "$(systemctl show -P MainPID tope-updater)" != 0 ]';
  await container.sh(
    `size=$(wc -c <${log}); end=$(($(date +%s) + 60)); until ${said}; do [ $(date +%s) -lt $end ] || exit 1; done; ${kill}; ` +
      // Its next start comes after two seconds, later on a busy machine.
      `sleep 2; until ${runs}; do [ $(date +%s) -lt $end ] || exit 1; sleep 0.2; done; sleep 1; ${kill}`,
  );
}

export function untilAtRest(container: Container): Promise<void> {
  return until('it rests', async () => {
    const { output } = await container.updater('status', '--json');
    return /"stage":"(idle|success|failed)"/.test(output);
  });
}
