/** `tope-updater doctor`: looks for what could keep updates from working; each finding is ok, warn or fail, with what to do. Changes nothing. */
import { dirname } from 'node:path';
import { errorText } from '../errors.ts';
import { realClock } from '../host/clock.ts';
import { plainFiles } from '../host/files.ts';
import { realNet } from '../host/net.ts';
import { realProcesses } from '../host/processes.ts';
import type { CommandInvocation } from './arguments.ts';
import { bootChecks } from './doctor-boot.ts';
import { answersOf, daemonChecks } from './doctor-daemon.ts';
import { fleetChecks } from './doctor-fleet.ts';
import { placeChecks } from './doctor-places.ts';
import { probationChecks, runtimeCheck, trustCheck } from './doctor-program.ts';
import { type DoctorTarget, doctorTarget } from './doctor-target.ts';
import { checkOf, type Finding } from './finding.ts';
import { isSet } from './flags.ts';
import { createOutput, type Output, type Style } from './output.ts';
import { ownPaths } from './own-files.ts';

/** Exit status 1 where something fails. */
export async function doctor({ flags }: CommandInvocation): Promise<number> {
  const output = createOutput(process.stdout, process.env);
  const host = {
    files: plainFiles(),
    clock: realClock(),
    net: realNet({ environment: {} }),
    processes: realProcesses(),
  };
  let findings: Finding[];
  try {
    const target = await doctorTarget(flags, host.processes);
    findings =
      target.elsewhere === undefined
        ? [
            configurationFound(target),
            ...(await daemonChecks(host, target, flags)),
            ...(await placeChecks(host, target)),
            ...(await probationChecks(host.files, [dirname(process.execPath), target.workDirectory])),
            ...(await bootChecks(host.files, dirname(process.execPath), target.workDirectory)),
            ...(await fleetChecks(host, target)),
            await trustCheck([target.workDirectory, ...(await ownPaths(target.config, target.configPath))]),
            runtimeCheck(process.versions.node, target.config.trusted_keys.length > 0, host.clock.now()),
          ]
        : [elsewhereFound(target.elsewhere), ...(await answersOf(target.elsewhere, flags))];
  } catch (thrown) {
    const why = errorText(thrown);
    findings = [checkOf('configuration').fail(why, 'correct it: the daemon would not start')];
  }
  for (const finding of findings) {
    if (isSet(flags, 'json')) output.line(JSON.stringify(finding));
    else print(output, finding);
  }
  return findings.some(({ level }) => level === 'fail') ? 1 : 0;
}

function configurationFound({ daemonPid, workDirectory }: DoctorTarget): Finding {
  const ofUser = process.geteuid?.() === 0 ? '' : 'that this user may look at ';
  const whose =
    daemonPid === undefined ? `no daemon ${ofUser}runs; looked at` : `of the daemon with pid ${daemonPid}:`;
  return checkOf('configuration').ok(`${whose} ${workDirectory}`);
}

/** Nothing of another device's disk, service or clock can be seen from here. */
function elsewhereFound(url: string): Finding {
  return checkOf('configuration').warn(
    `the daemon at ${url} is not the one of this machine: only its answers are looked at`,
    'run tope-updater doctor on that device for the rest, or name its settings with --config or --dir',
  );
}

const styles: Record<Finding['level'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' };

function print(output: Output, { check, level, found, advice }: Finding): void {
  output.line(`${output.paint(styles[level], level.padEnd(4))}  ${check.padEnd(14)}  ${found}`);
  if (advice !== undefined) output.line(`${' '.repeat(22)}-> ${advice}`);
}
