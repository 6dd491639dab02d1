/** The restart of the machine that a manifest may ask for, between the switch and the start of the services. */
import type { JournalFile } from '../deploy/journal-file.ts';
import { errorText, UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';

/** Tried in this order; the second is busybox's and SysV's. */
const commands = [['systemctl', 'reboot'], ['reboot']];

export interface RebootContext {
  readonly host: Host;
  readonly shutdown: AbortSignal;
  readonly progress: (percent: number, message: string) => void;
  readonly onRebooting: () => Promise<void>;
}

/** Notes which boot is to end, asks for the restart and waits for the daemon's end. Rejects with the shutdown's reason or DEPLOYMENT_FAILED. */
export async function restartMachine(context: RebootContext, journal: JournalFile): Promise<never> {
  const { host } = context;
  await journal.append({ state: 'rebooting', bootId: await host.processes.bootId() });
  await context.onRebooting();
  context.progress(0, 'restarting the machine');
  const refusals: string[] = [];
  for (const command of commands) {
    const refusal = await ask(host, command);
    if (refusal === undefined) {
      await host.clock.sleep(limits.rebootMs, context.shutdown);
      throw new UpdateError('DEPLOYMENT_FAILED', `the machine did not restart within ${limits.rebootMs} ms`);
    }
    refusals.push(refusal);
  }
  throw new UpdateError('DEPLOYMENT_FAILED', `the machine cannot be restarted: ${refusals.join('; ')}`);
}

async function ask(host: Host, command: readonly string[]): Promise<string | undefined> {
  try {
    const { status, stderr } = await host.processes.run(command, limits.serviceCommandMs);
    return status === 0 ? undefined : `${command.join(' ')}: exit status ${status} ${stderr.trim()}`;
  } catch (thrown) {
    return `${command.join(' ')}: ${errorText(thrown)}`;
  }
}
