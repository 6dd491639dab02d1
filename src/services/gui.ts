/** The optional full-screen progress display (FR-022, FR-023). Nothing about it ever stops an update. */
import { errno, errorText } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { findNamed, inheritableEnvironment, title } from './processes.ts';

export type GuiHost = Pick<Host, 'files' | 'processes' | 'clock' | 'log'>;

/** Starts the program at `path` if it is there and does not run yet. Missing, failing or crashing only logs. */
export async function launchGui(host: GuiHost, path: string): Promise<void> {
  try {
    if (!(await isThere(host, path))) {
      host.log.info(`no progress display: ${path} is not there`);
      return;
    }
    const [running] = await findNamed(host, [path.slice(path.lastIndexOf('/') + 1)]);
    if (running !== undefined) {
      host.log.info(`progress display already runs: ${title(running)}`);
      return;
    }
    const env = await inheritableEnvironment(host);
    const { pid, ended } = await host.processes.start({ argv: [path], cwd: '/', env });
    host.log.info(`progress display started: ${path} (pid ${pid})`);
    void ended.then((outcome) => {
      if (outcome === 0) host.log.info(`progress display ended: ${path} (pid ${pid})`);
      else host.log.warn(`progress display ${path} (pid ${pid}) ended with ${outcome}`);
    });
  } catch (thrown) {
    host.log.warn(`progress display ${path} not started: ${errorText(thrown)}`);
  }
}

async function isThere(host: GuiHost, path: string): Promise<boolean> {
  try {
    await host.files.realPath(path);
    return true;
  } catch (thrown) {
    if (errno(thrown) === 'ENOENT' || errno(thrown) === 'ENOTDIR') return false;
    throw thrown;
  }
}
