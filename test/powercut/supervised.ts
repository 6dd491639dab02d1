/**
 * The updater as a device runs it where it may replace itself: started by deploy/launch.sh, and again whenever it ends. It is
 * reached over its unix socket; nothing here touches the filesystem under test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { call, type DaemonPlace, pause } from './daemon.ts';
import { run } from './run-tool.ts';

export interface SupervisedPlace extends DaemonPlace {
  /** Public key that packages are signed with. */
  readonly trustKey: string;
  readonly reportUrl: string;
  /** A file with what the launcher takes as the boot's id. */
  readonly bootIdFile: string;
  /** A start that adds no line to `probation` for so long hangs. */
  readonly probationS: number;
}

export interface Supervised {
  starts(): number;
  /** All that was printed, with a line for each end. */
  output(): string;
  /** The `data` of an answer; undefined where nobody answers. */
  get<Data>(path: string): Promise<Data | undefined>;
  post(path: string, body: object): Promise<unknown>;
  /** Ends what runs and does not start it again. SIGKILL: everything that the launcher has left behind, too, as a power cut would. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** Begins to start it. */
export function supervise(place: SupervisedPlace): Supervised {
  let output = '';
  let isEnding = false;
  let running: ChildProcess | undefined;
  const groups: number[] = [];

  const start = () =>
    new Promise<void>((resolve, reject) => {
      const options = {
        '--dir': place.workDirectory,
        '--socket': place.socket,
        '--allow-root': place.allowedRoot,
        '--trust-key': place.trustKey,
        '--report-url': place.reportUrl,
        '--gui': '/nonexistent/gui',
      };
      // By the shell's own path: until a child has begun to run, this process waits for it, and may be serving the disk that it is on.
      // A group of its own: the launcher leaves somebody behind who looks whether the start hangs.
      const child = spawn('/bin/sh', [launcherOf(place), 'run', ...Object.entries(options).flat()], {
        stdio: ['ignore', 'pipe', 'pipe'],
        cwd: '/',
        detached: true,
        env: environmentOf(place),
      });
      running = child;
      if (child.pid !== undefined) groups.push(child.pid);
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => {
          output += chunk.toString();
        });
      child.on('error', reject);
      child.on('exit', (status, signal) => {
        output += `--- start ${groups.length} ended: ${signal ?? status}\n`;
        running = undefined;
        resolve();
      });
    });
  const endGroups = () => groups.forEach(endGroup);
  // A harness that throws must not leave a root daemon behind.
  process.on('exit', endGroups);
  const supervising = (async () => {
    while (!isEnding) {
      await start();
      await pause(50);
    }
  })();

  return {
    starts: () => groups.length,
    output: () => output,
    get: async <Data>(path: string) => {
      const answer = await call(place.socket, 'GET', path).catch(() => undefined);
      return (answer as { data?: Data } | undefined)?.data;
    },
    post: (path, body) => call(place.socket, 'POST', path, body),
    end: async (signal) => {
      isEnding = true;
      if (signal === 'SIGKILL') endGroups();
      else running?.kill(signal);
      await supervising;
      endGroups();
      process.off('exit', endGroups);
    },
  };
}

/** What the boot does before the services, by the launcher; gives what it said, rejects where it fails. */
export async function recoverByLauncher(place: SupervisedPlace): Promise<string> {
  const options = ['--dir', place.workDirectory, '--allow-root', place.allowedRoot];
  return await run(['/bin/sh', launcherOf(place), 'recover', ...options], { env: environmentOf(place) });
}

export function launcherOf({ workDirectory }: DaemonPlace): string {
  return `${workDirectory}/tope-updater-launch`;
}

function environmentOf(place: SupervisedPlace): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    TOPE_UPDATER_PROBATION_S: String(place.probationS),
    TOPE_UPDATER_BOOT_ID: place.bootIdFile,
  };
}

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
