/** A rollback that was asked for: the same transaction, with the backups of earlier updates as its source. */

import { recordBefore } from '../deploy/current-record.ts';
import { makePlan } from '../deploy/make-plan.ts';
import { refuseOwnFiles } from '../deploy/own-files.ts';
import {
  backupsComplete,
  type PlanHead,
  pastPlan,
  pastUpdates,
  wantsOfRollback,
} from '../deploy/past-updates.ts';
import { fileSteps, type Plan } from '../deploy/plan.ts';
import { checkPlanFits } from '../deploy/space.ts';
import { stageBackups } from '../deploy/stage.ts';
import { openSteps } from '../deploy/step-list.ts';
import { surveyWants } from '../deploy/survey.ts';
import { refuseStrangers } from '../deploy/turned.ts';
import { UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Host } from '../host/host.ts';
import { filtered } from '../packed-list.ts';
import type { ServiceSpec } from '../release.ts';
import { commandName } from '../services/proc-text.ts';
import { commandsOfRollback, commandsPart } from './commands.ts';
import { servicesOfUpdates } from './past-services.ts';
import { beginningOf, ownerOfUpdater } from './prepare.ts';
import { markSelf } from './self-update.ts';
import { recordedServices } from './service-changes.ts';
import { runTransaction } from './transaction.ts';
import type { Outcome, TransactionContext } from './transaction-context.ts';

/** Takes back the last update, or every update down to and including that of `version`. Throws as installPackage does. */
export async function rollBack(context: TransactionContext, version: string | null): Promise<Outcome> {
  const { host, backupDirectory } = context;
  const chain = await updatesToTakeBack(host, backupDirectory, version);
  const owner = await ownerOfUpdater(host.files, backupDirectory);
  const wants = await wantsOfRollback(host.files, chain);
  const facts = await surveyWants(host.files, wants, owner);
  // The updater that an update replaced comes back with the rest of it.
  const self = chain.some((past) => past.self !== undefined) ? context.executable?.path : undefined;
  const others = filtered(wants, ({ target }) => target !== self);
  await refuseOwnFiles(host.files, context.ownPaths, others, facts.found, 'DEPLOYMENT_FAILED');
  await refuseStrangers(host.files, wants, facts);
  const made = await makePlan(
    {
      ...(await beginningOf(host, backupDirectory)),
      kind: 'rollback',
      version: chain.at(-1)?.previousVersion ?? null,
      previousVersion: chain[0]?.version ?? null,
      modules: [...new Set(chain.flatMap(({ modules, removed = [] }) => [...modules, ...removed]))],
      services: await servicesBack(host, backupDirectory, chain),
      servicesBefore: specsIn(servicesOf(chain)),
      reboot: chain.some((past) => past.reboot),
      ...commandsPart(commandsOfRollback(chain)),
      consumes: chain.map((past) => past.id),
    },
    breathing(wants),
    facts,
    await openSteps(),
  );
  const copying = await markSelf(made, context.executable);
  const fits = (wanted: Plan) => checkPlanFits(host.files, wanted, facts, backupDirectory);
  const plan = await fits(copying).then(
    () => copying,
    async () => {
      const sharing = { ...copying, sharesBackups: true };
      await fits(sharing);
      host.log.warn('the disk has no room for copies of the backups: the files that come back share them');
      return sharing;
    },
  );
  const past = await servicesOfUpdates(host, backupDirectory, plan.consumes);
  // The oldest update of the chain that had to do with a service saw how it ran in the set that comes back.
  return runTransaction(context, plan, (group) => stageBackups(host, plan, group), {
    known: past,
    earlier: [...past].reverse(),
  });
}

/** Newest first. Throws NO_BACKUP naming what is missing. */
export async function updatesToTakeBack(
  host: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  version: string | null,
): Promise<Plan[]> {
  const past = await pastUpdates(host, backupDirectory);
  const last = version === null ? 0 : past.findIndex((plan) => plan.version === version);
  if (past.length === 0) throw new UpdateError('NO_BACKUP', 'there is no update that could be taken back');
  if (last < 0) {
    const known = past.map((plan) => plan.version).join(', ');
    throw new UpdateError(
      'NO_BACKUP',
      `there is no backup of an update to ${version}; there are those of ${known}`,
    );
  }
  const chain: Plan[] = [];
  for (const { id } of past.slice(0, last + 1)) chain.push(await pastPlan(host.files, backupDirectory, id));
  if (!(await backupsComplete(host.files, chain))) {
    throw new UpdateError(
      'NO_BACKUP',
      `files of the backups of ${chain.map((plan) => plan.version).join(', ')} are missing`,
    );
  }
  return chain;
}

/** Of each module what its newest update said: that is what runs. Null: it took the module away. */
function servicesOf(chain: readonly PlanHead[]): ReadonlyMap<string, ServiceSpec | null> {
  const specs = new Map<string, ServiceSpec | null>();
  for (const { services, removed = [] } of chain) {
    for (const spec of services) if (!specs.has(spec.module)) specs.set(spec.module, spec);
    for (const name of removed) if (!specs.has(name)) specs.set(name, null);
  }
  return specs;
}

function specsIn(specs: ReadonlyMap<string, ServiceSpec | null>): ServiceSpec[] {
  return [...specs.values()].filter((spec) => spec !== null);
}

/** What the set that comes back says of the chain's services: by its record, else by an earlier update's plan, else the name alone. */
async function servicesBack(
  host: Pick<Host, 'files' | 'log'>,
  backupDirectory: string,
  chain: readonly Plan[],
): Promise<ServiceSpec[]> {
  const now = servicesOf(chain);
  const record = await recordBefore(host.files, backupDirectory, chain.at(-1)?.id ?? '');
  const recorded = record === undefined ? [] : await recordedServices(host.files, backupDirectory, record);
  const older = servicesOf((await pastUpdates(host, backupDirectory)).slice(chain.length));
  const comingBack = await modulesComingBack(chain);
  return [...now].flatMap(([module, spec]) => {
    const known = recorded.find((each) => each.module === module) ?? older.get(module);
    if (known !== undefined) return known ?? [];
    if (spec === null || !comingBack.has(module)) return [];
    const { processName, restartOrder, start } = spec;
    return {
      module,
      processName: processName ?? commandName(start ?? []),
      restartOrder,
      unit: undefined,
      start: undefined,
      health: undefined,
    };
  });
}

/** Of which at least one file comes back. */
async function modulesComingBack(chain: readonly Plan[]): Promise<ReadonlySet<string>> {
  const modules = new Set<string>();
  for (const plan of chain)
    for await (const { module, backup } of breathing(fileSteps(plan)))
      if (backup !== null) modules.add(module);
  return modules;
}
