/**
 * Namespaces of its own for each test file: its processes, mounts and ports are seen by nobody else and see nobody else.
 * So a test of the product, which stops processes by name, meets only what the file started, and fixed ports cannot
 * collide. What a file leaves running ends with it.
 */
import { spawnSync } from 'node:child_process';

/** A command line with what isolates it before it. */
export type Isolate = (argv: readonly string[]) => readonly string[];

export interface Isolation {
  readonly isolate: Isolate;
  /** Why files share the machine's processes and network, where they do. */
  readonly whyShared: string | undefined;
}

/** Tries once whether this machine allows it; where not, commands stay as they are. Needs root, unshare(1) and ip(8). */
export function isolation(): Isolation {
  const shared = (why: string): Isolation => ({
    isolate: (argv) => argv,
    whyShared: `the test files share the machine's processes and network: ${why}`,
  });
  if (process.getuid?.() !== 0) return shared('namespaces of their own need root');
  const [command = '', ...args] = isolated(['true']);
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return { isolate: isolated, whyShared: undefined };
  return shared((error?.message ?? stderr).trim());
}

/** The shell is process 1 there: it waits for the command and for every orphan, as an init does. */
function isolated(argv: readonly string[]): readonly string[] {
  const init = 'ip link set lo up || exit 1; "$@"; exit $?';
  return [
    'unshare',
    ...['--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--net'],
    ...['sh', '-c', init, 'init'],
    ...argv,
  ];
}
