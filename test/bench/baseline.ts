/** What any updater is compared with: the same bytes fetched, written and digested by curl, tee and md5sum. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { settleMachine } from './machine.ts';

export interface Timed {
  readonly ms: number;
  /** User and system, all processes together. */
  readonly cpuSeconds: number;
}

/** `curl -s URL | tee f | md5sum`: download and digest, nothing made durable. */
export function runBaseline(folder: string, url: string): Timed {
  return timed(folder, `curl -sf ${url} | tee f | md5sum`);
}

/** The files copied and synced: what the durable write of the content costs by itself. */
export function runDurableCopy(folder: string, from: string): Timed {
  return timed(folder, `cp ${from}/* . && sync *`);
}

/** Runs a shell line in an empty folder, with nothing else on its way to the disk. Throws when it fails. */
export function timed(parent: string, line: string): Timed {
  const folder = join(parent, 'timed');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  settleMachine();
  const begun = performance.now();
  const { status, stdout, stderr } = spawnSync('sh', ['-c', `set -e\n${line}\necho; times`], { cwd: folder });
  const ms = performance.now() - begun;
  if (status !== 0) throw new Error(`${line}: status ${status}\n${stdout}${stderr}`.slice(0, 4_000));
  rmSync(folder, { recursive: true });
  return { ms, cpuSeconds: childrenSeconds(stdout.toString()) };
}

/** The last line of `times`: user and system time of all that the shell started, as `0m0.52s 0m0.31s`. */
function childrenSeconds(output: string): number {
  const last = output.trim().split('\n').at(-1) ?? '';
  return [...last.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, m, s]) => sum + Number(m) * 60 + Number(s),
    0,
  );
}
