/** A memory cgroup, v1 or v2: the bound that a unit of systemd sets, page cache counted. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRoot } from './machine.ts';
import { waitUntil } from './wait.ts';

export interface Cgroup {
  readonly version: 'v1' | 'v2';
  readonly procs: string;
  killed(): number;
  remove(): Promise<void>;
}

/**
 * A group of the benchmark's own that kills beyond `maxMb`, or the reason why there is none. `highMb`: from there on the
 * kernel takes pages back; cgroup v1 has no such bound.
 */
export function openCgroup(maxMb: number, highMb = maxMb): Cgroup | string {
  if (!isRoot) return 'only root can make a cgroup';
  const root = '/sys/fs/cgroup';
  const version = existsSync(join(root, 'memory/memory.limit_in_bytes')) ? 'v1' : 'v2';
  const path = join(version === 'v1' ? join(root, 'memory') : root, `tope-bench-${process.pid}`);
  const rules =
    version === 'v1'
      ? { limit: 'memory.limit_in_bytes', swap: 'memory.memsw.limit_in_bytes', events: 'memory.oom_control' }
      : { limit: 'memory.max', swap: 'memory.swap.max', events: 'memory.events' };
  try {
    mkdirSync(path);
    if (version === 'v2') writeFileSync(join(path, 'memory.high'), String(highMb * 2 ** 20));
    writeFileSync(join(path, rules.limit), String(maxMb * 2 ** 20));
  } catch (thrown) {
    return `the memory controller cannot be had: ${thrown instanceof Error ? thrown.message : thrown}`;
  }
  // Nothing may be swapped out of the group: a device has no swap.
  const noSwap = version === 'v1' ? String(maxMb * 2 ** 20) : '0';
  if (existsSync(join(path, rules.swap))) writeFileSync(join(path, rules.swap), noSwap);
  return {
    version,
    procs: join(path, 'cgroup.procs'),
    killed: () => Number(/^oom_kill (\d+)/m.exec(readFileSync(join(path, rules.events), 'utf8'))?.[1]),
    remove: () =>
      waitUntil('the cgroup is empty', 5_000, async () => {
        if (readFileSync(join(path, 'cgroup.procs'), 'utf8') !== '') return false;
        rmdirSync(path);
        return true;
      }),
  };
}
