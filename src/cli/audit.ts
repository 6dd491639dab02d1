/** `tope-updater audit`: asks the daemon what has changed since the install, with `--repair` to restore it; waits, and shows what came of it. */

import type { AuditFinding, AuditReport } from '../audit/audit-report.ts';
import { realClock } from '../host/clock.ts';
import { printed } from '../printed.ts';
import type { CommandInvocation } from './arguments.ts';
import { askFirst, followToEnd } from './carry-out.ts';
import { type Client, clientOf } from './client.ts';
import { differsExitCode } from './commands.ts';
import { CommandError } from './failure.ts';
import { bytesText, countText } from './figures.ts';
import { isSet } from './flags.ts';
import { foldedPaths } from './folded-paths.ts';
import { createOutput, type Output } from './output.ts';

const pollMs = 200;
/** What a program has made beside the package's files, a virtual environment say, is told by its folders. */
const extraLines = 10;

/** Exit status 0 where everything is as deployed, in the end; else 4. */
export async function audit(invocation: CommandInvocation): Promise<number> {
  const { flags } = invocation;
  const client = await clientOf(flags);
  const output = createOutput(process.stdout, process.env);
  const isJson = isSet(flags, 'json');
  const show = (report: AuditReport, advice: Advice) =>
    isJson ? output.line(JSON.stringify(report)) : print(output, report, advice);
  const found = await check(client, isJson ? undefined : output);
  if (!isSet(flags, 'repair') || found.differing === 0 || found.unknown !== null) {
    show(found, 'repair');
    if (found.unknown !== null) throw new CommandError(found.unknown);
    return found.differing === 0 ? 0 : differsExitCode;
  }
  if (!isJson) print(output, found, 'none');
  await askFirst(invocation, `Restore what differs, and restart the services concerned?`);
  const [newest] = await client.history();
  await client.startAudit(true);
  try {
    await followToEnd(
      { client, output: isJson ? silent(output) : output, clock: realClock(), isJson: false },
      newest,
    );
  } catch (thrown) {
    const { report } = await client.audit();
    if (report !== null && report.started_at !== found.started_at) show(report, 'install');
    throw thrown;
  }
  const { report } = await client.audit();
  // A daemon that was restarted in the middle has finished the repair, but not told of it: it is looked at once more.
  const isTold = report !== null && report.started_at !== found.started_at;
  const after = isTold ? report : await check(client, isJson ? undefined : output);
  show(after, 'install');
  return after.differing === 0 ? 0 : differsExitCode;
}

/** A check from its beginning to its report. `output`: where it may show how far it is. */
async function check(client: Client, output: Output | undefined): Promise<AuditReport> {
  const before = (await client.audit()).report?.started_at;
  await client.startAudit(false);
  const clock = realClock();
  for (;;) {
    const { running, files, report } = await client.audit();
    output?.live(running ? `comparing: ${countText(files, 'file')}` : '');
    if (running) {
      await clock.sleep(pollMs);
      continue;
    }
    if (report !== null && report.started_at !== before) return report;
    const { message } = await client.current();
    throw new CommandError(`the audit was given up, as other work began: ${message}`);
  }
}

/** What to do about differences: a repair, what is left after one, or nothing while one is about to begin. */
type Advice = 'repair' | 'install' | 'none';

function print(output: Output, report: AuditReport, advice: Advice): void {
  const { version, files, bytes, differing, findings, extra, extra_files: extraFiles } = report;
  output.live(''); // the last step of a repair
  for (const finding of findings) printFinding(output, finding);
  const restored = findings.filter((finding) => finding.restored === true).length;
  const unnamed = differing + restored - findings.length;
  if (unnamed > 0) output.line(`and ${countText(unnamed, 'more file')}`);
  for (const path of foldedPaths(extraFiles, extraLines))
    output.line(output.paint('dim', `extra       ${printed(path)}`));
  if (extra > extraFiles.length)
    output.line(output.paint('dim', `extra       ${countText(extra - extraFiles.length, 'more file')}`));
  if (extra > 0)
    output.line(
      `${countText(extra, 'file')} below directory modules that are the device's own, or kept: no fault, nothing is compared`,
    );
  if (version === null) return;
  const what = `version ${version}: ${countText(files, 'file')}, ${bytesText(bytes)}, `;
  const restoredText = restored === 0 ? '' : `, ${restored} restored`;
  if (differing === 0) output.line(`${what}${output.paint('green', 'all as deployed')}${restoredText}`);
  else {
    output.line(`${what}${output.paint('red', `${differing} not as deployed`)}${restoredText}`);
    if (advice !== 'none') output.line(`  -> ${adviceText(advice, version)}`);
  }
}

function adviceText(advice: Advice, version: string): string {
  return advice === 'repair'
    ? `tope-updater audit --repair restores what it can; else install version ${version} again`
    : `install version ${version} again; a daemon with --keep-package keeps what a repair needs`;
}

function printFinding(output: Output, { path, kind, text, restored, note }: AuditFinding): void {
  const word = restored === true ? output.paint('green', 'restored  ') : output.paint('red', kind.padEnd(10));
  output.line(`${word}  ${printed(path)}`);
  output.line(`${' '.repeat(12)}${printed(text)}`);
  if (note !== null) output.line(`${' '.repeat(12)}-> ${restored === true ? `restored from ${note}` : note}`);
}

function silent(output: Output): Output {
  return { ...output, isLive: false, line: () => undefined, live: () => undefined };
}
