/** One life of the daemon on a disk: the product's own updater and reporter, wired as in main.ts, on a scripted host. */
import { ownExecutable } from '../../src/deploy/probation.ts';
import type { Files } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { createReporter } from '../../src/report/reporter.ts';
import { proveItself } from '../../src/updater/prove.ts';
import { createUpdater } from '../../src/updater/runner.ts';
import type { RunningUpdater, Stage } from '../../src/updater/state.ts';
import { plainSettings } from '../fixtures/plain-settings.ts';
import { launch, type NewUpdater, trustedKey } from './launcher.ts';
import { type Script, type ScriptedHost, scriptedHost } from './scripted-host.ts';

export const workDirectory = '/var/lib/tope';
export const allowedRoot = '/opt/tope';

/** Packages are small here: what a download decides by size, it decides by less. */
Object.assign(limits, {
  adaptiveLeastBytes: 11 * 1024,
  tailBytes: 1024,
  requestWorthBytes: 200,
  probeBytes: 1024,
  probeLeastBytes: 200,
  deflateAtOnceBytes: 2048,
});

export interface SessionScript extends Omit<Script, 'onReport'> {
  /** --keep-package */
  readonly keepPackage: boolean;
  /** A launcher starts the updater, which a package may replace by such a one; undefined: none does. */
  readonly newUpdater: NewUpdater | undefined;
  /** A bandwidth limit; the scripted clock makes it cost nothing. */
  readonly bytesPerSecond?: number | undefined;
  /** Hears every stage that device-api was told (`reported`) or that /progress showed (`shown`). */
  readonly onStage: (how: 'reported' | 'shown', stage: Stage) => void;
}

export interface Session {
  readonly updater: RunningUpdater;
  readonly host: ScriptedHost;
  /** Waits until no work is left to do, or until the machine is to restart, and says where it ended. */
  rest(): Promise<Stage>;
  /** It wants to be started again, as another executable is due. */
  isEnding(): boolean;
  /** SIGTERM. */
  stop(): Promise<void>;
}

const resting: readonly Stage[] = ['idle', 'toInstall', 'success', 'failed'];
/** Of real time; a whole update takes some milliseconds of it. */
const patienceMs = 20_000;

/** Starts the daemon on these files; it recovers by itself. The work directory's own directories must be there. */
export async function startSession(files: Files, script: SessionScript): Promise<Session> {
  const stageOf = (body: string) => (JSON.parse(body) as { stage: Stage }).stage;
  let isRebooting = false;
  let isEnding = false;
  const change = changes();
  const host = scriptedHost(files, {
    ...script,
    onReboot: () => {
      isRebooting = true;
      change.tell();
      script.onReboot();
    },
    onReport: (body) => script.onStage('reported', stageOf(body)),
  });
  const reporter = createReporter(host, {
    url: 'http://localhost:9080/api/v1.0/ota/report',
    outboxPath: `${workDirectory}/tmp/outbox.json`,
  });
  const executable =
    script.newUpdater === undefined
      ? undefined
      : await ownExecutable(files, {
          ...(await launch(files, script.bootId, script.newUpdater)),
          serving: async () => undefined,
          end: () => {
            isEnding = true;
            change.tell();
          },
        });
  const settings = {
    ...plainSettings(workDirectory, allowedRoot),
    guiPath: '/opt/tope/ota-gui',
    bytesPerSecond: script.bytesPerSecond,
    keepPackage: script.keepPackage,
    trustedKeys: executable === undefined ? [] : [trustedKey],
    executable,
  };
  const updater = createUpdater(host, settings, [
    reporter.listener,
    (progress, urgent) => {
      change.tell();
      if (urgent) script.onStage('shown', progress.stage);
    },
  ]);
  await reporter.start();
  await updater.recover();
  const proven = proveItself(host, settings, updater).catch((thrown: unknown) =>
    host.log.error(String(thrown)),
  );
  return {
    updater,
    host,
    async rest() {
      const deadline = performance.now() + patienceMs;
      while (performance.now() < deadline) {
        if (isRebooting || isEnding) return updater.progress().stage;
        if (resting.includes(updater.progress().stage)) {
          await proven;
          await updater.settled();
          if (isEnding || !resting.includes(updater.progress().stage)) continue;
          return updater.progress().stage;
        }
        await change.next();
      }
      throw new Error(`still ${updater.progress().stage} after ${patienceMs} ms\n${host.lines.join('\n')}`);
    },
    isEnding: () => isEnding,
    async stop() {
      await updater.stop();
      await reporter.stop();
      host.stop();
    },
  };
}

/** To wait for what is told, without asking each turn of the event loop: that takes more of the processor than a recovery. */
function changes(): { tell(): void; next(): Promise<void> } {
  let wake = (): void => undefined;
  return {
    tell: () => wake(),
    // Not all that may end a wait is told.
    next: () =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, 2);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
  };
}
