/**
 * The commands of a transaction: which, in which order. That a module's commands begin is durable before they do, so that an
 * undo, also of a later start, takes back exactly what may have been done. All may run again after a cut, until what they have
 * written is durable.
 */

import type { DeployedModule } from '../deploy/deployed-record.ts';
import type { PlanHead } from '../deploy/past-updates.ts';
import type { Plan, PlannedCommands } from '../deploy/plan.ts';
import type { Recorded } from '../deploy/recorded.ts';
import type { Want } from '../deploy/want.ts';
import { errorText } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import { limits } from '../limits.ts';
import type { Release } from '../release.ts';
import { type CommandOccasion, endLeftCommands, runCommands } from '../services/commands.ts';
import { unchangedServices } from './service-changes.ts';
import type { Run } from './transaction-context.ts';

/** Of an install: `before_start` in the order of the modules. */
export function commandsOfRelease(release: Release, previousVersion: string | null): PlannedCommands[] {
  return release.modules.flatMap(({ name, commands }) => {
    if (commands === undefined) return [];
    const { beforeStart, onUndo, timeoutMs } = commands;
    const { version } = release;
    return [{ module: name, version, previousVersion, run: beforeStart, undo: onUndo, timeoutMs }];
  });
}

/**
 * Those of a planned install that run: they need the service to be down, so where nothing changes of a module's service it runs on, and
 * they do not run. A change is also other commands than those of the record, and a file that somebody else has put there.
 * Commands of a module without a service always run.
 */
export async function withDueCommands(
  plan: Plan,
  { modules, files, links }: Recorded,
  wants: Iterable<Want>,
): Promise<Plan> {
  const { commands: all = [], ...rest } = plan;
  if (all.length === 0) return plan;
  const changed = new Set<string>();
  for (const { module, run, undo } of all) {
    const { beforeStart, onUndo } = modules.get(module)?.commands ?? {};
    if (JSON.stringify([run, undo]) !== JSON.stringify([beforeStart, onUndo])) changed.add(module);
  }
  for await (const want of breathing(wants)) {
    if (want.kind !== 'file' || want.stands !== true || changed.has(want.module)) continue;
    const { target, sha256, link } = want;
    const isRecorded =
      link === undefined ? files.get(target)?.sha256 === sha256 : links.get(target)?.to === link;
    if (!isRecorded) changed.add(want.module);
  }
  const unchanged = unchangedServices(plan, changed);
  return { ...rest, ...commandsPart(all.filter(({ module }) => !unchanged.has(module))) };
}

/** Of a repair of `modules`: what their update ran; nothing takes it back, the version stays the same. `past`: newest first. */
export function commandsOfRepair(
  modules: readonly DeployedModule[],
  version: string,
  past: readonly PlanHead[],
): PlannedCommands[] {
  return modules.flatMap(({ name, commands }) => {
    if (commands === undefined) return [];
    const update = past.find((plan) => plan.commands?.some(({ module }) => module === name))?.id;
    const { beforeStart: run, timeoutMs } = commands;
    const of = update === undefined ? {} : { update };
    return [{ module: name, version, previousVersion: version, ...of, run, undo: [], timeoutMs }];
  });
}

/** Of a rollback of `chain` (newest first): what takes each update's commands back, the last one first. */
export function commandsOfRollback(chain: readonly Plan[]): PlannedCommands[] {
  return chain
    .flatMap(({ id, commands = [] }) => commands.toReversed().map((each) => ({ ...each, update: id })))
    .filter(({ undo }) => undo.length > 0)
    .map((commands) => ({ ...commands, run: commands.undo, undo: commands.run }));
}

/** As a part of a plan. */
export function commandsPart(commands: readonly PlannedCommands[]): Pick<Plan, 'commands'> {
  return commands.length === 0 ? {} : { commands };
}

/** After the switch. Throws DEPLOYMENT_FAILED where one fails that must not, or the shutdown's reason. */
export async function runPlannedCommands(run: Run): Promise<void> {
  const { context, plan, journal, begun } = run;
  for (const [index, commands] of (plan.commands ?? []).entries()) {
    const count = index + 1;
    if (begun.commands < count) await journal.append({ state: 'switched', begun: count });
    begun.commands = Math.max(begun.commands, count);
    context.progress(94, `running commands of ${commands.module}`);
    // What takes back must go on whatever happens: there is nothing better to go back to.
    if (plan.kind === 'rollback') await runAndTell(run, commands, commands.run);
    else await runFor(run, commands, commands.run);
  }
  if (begun.commands > 0) await syncMachine(run);
}

/** In a later life: what still runs of the commands that the one before had begun is ended. */
export async function endCommandsOf({ context, plan, begun }: Run): Promise<void> {
  const updates = (plan.commands ?? []).slice(0, begun.commands).map(({ update = plan.id }) => update);
  for (const update of new Set(updates)) await endLeftCommands(context.host, update, occasionOf(plan));
}

/** After everything is back: gives what failed, in words, or rejects with the shutdown's reason. */
export async function undoPlannedCommands(run: Run): Promise<string[]> {
  const { plan, begun } = run;
  const failures: string[] = [];
  for (const commands of (plan.commands ?? []).slice(0, begun.commands).toReversed())
    failures.push(...(await runAndTell(run, commands, commands.undo)));
  if (begun.commands > 0 || changesEnablement(run)) await syncMachine(run);
  return failures;
}

/** What programs have written, nobody knows where, is durable when it resolves: so it is sync(1). A failure is only told. */
export async function syncMachine({ context }: Pick<Run, 'context'>): Promise<void> {
  const { host } = context;
  try {
    const { status, stderr } = await host.processes.run(['sync'], limits.serviceCommandMs);
    if (status !== 0) throw new Error(`exit status ${status}: ${stderr.trim()}`);
  } catch (thrown) {
    host.log.warn(
      `what commands have written may be lost by a power cut soon after: sync: ${errorText(thrown)}`,
    );
  }
}

/** Whether units were enabled or disabled. */
export function changesEnablement({ services }: Pick<Run, 'services'>): boolean {
  return services.some(({ enables, enablesAgain, disables }) =>
    [enables, enablesAgain, disables].some((units) => units.length > 0),
  );
}

async function runAndTell(
  run: Run,
  commands: PlannedCommands,
  argvs: readonly (readonly string[])[],
): Promise<string[]> {
  const { host, shutdown } = run.context;
  try {
    await runFor(run, commands, argvs);
    return [];
  } catch (thrown) {
    if (shutdown.aborted) throw thrown;
    const text = errorText(thrown);
    host.log.error(text);
    return [text];
  }
}

function runFor(
  { context, plan }: Run,
  { module, version, previousVersion, update = plan.id, timeoutMs }: PlannedCommands,
  commands: readonly (readonly string[])[],
): Promise<void> {
  const group = { module, version, previousVersion, update, commands, timeoutMs };
  return runCommands(context.host, group, occasionOf(plan), context.shutdown);
}

function occasionOf({ kind }: Plan): CommandOccasion {
  return kind === 'update' ? 'install' : kind;
}
