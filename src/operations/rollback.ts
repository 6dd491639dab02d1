/** A rollback that was asked for: the same transaction, with the backups of earlier updates as its source. */
import { refuseOwnFiles } from '../deploy/own-files.ts';
import { backupsComplete, latestId, pastUpdates, wantsOfRollback } from '../deploy/past-updates.ts';
import { makePlan, nextId, type Plan } from '../deploy/plan.ts';
import { stageBackups } from '../deploy/stage.ts';
import { checkPlanFits, surveyWants } from '../deploy/survey.ts';
import { UpdateError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ServiceSpec } from '../release.ts';
import { commandsOfRollback, commandsPart } from './commands.ts';
import { ownerOfUpdater } from './prepare.ts';
import { runTransaction } from './transaction.ts';
import type { Outcome, TransactionContext } from './transaction-context.ts';

/** Takes back the last update, or every update down to and including that of `version`. Throws as installPackage does. */
export async function rollBack(context: TransactionContext, version: string | null): Promise<Outcome> {
  const { host, backupDirectory } = context;
  const chain = await updatesToTakeBack(host, backupDirectory, version);
  const self = await ownerOfUpdater(host.files, backupDirectory);
  const wants = await wantsOfRollback(host.files, chain);
  const facts = await surveyWants(host.files, wants, self);
  await refuseOwnFiles(host.files, context.ownPaths, wants, facts.found, 'DEPLOYMENT_FAILED');
  const startedMs = host.clock.now();
  const plan = makePlan(
    {
      id: nextId(startedMs, await latestId(host.files, backupDirectory)),
      kind: 'rollback',
      version: chain.at(-1)?.previousVersion ?? null,
      previousVersion: chain[0]?.version ?? null,
      startedMs,
      modules: [...new Set(chain.flatMap((past) => past.modules))],
      services: servicesOf(chain),
      reboot: chain.some((past) => past.reboot),
      ...commandsPart(commandsOfRollback(chain)),
      consumes: chain.map((past) => past.id),
      backupDirectory,
      // Backups of a rollback live only as long as it runs: under each module's name, by their whole path.
      moduleRoots: new Map(wants.map((want) => [want.module, '/'])),
    },
    wants,
    facts,
  );
  await checkPlanFits(host.files, plan, facts, backupDirectory);
  return runTransaction(context, plan, (group) => stageBackups(host, plan, group));
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
  const chain = past.slice(0, last + 1);
  if (!(await backupsComplete(host.files, chain))) {
    throw new UpdateError(
      'NO_BACKUP',
      `files of the backups of ${chain.map((plan) => plan.version).join(', ')} are missing`,
    );
  }
  return chain;
}

/** Of each module what its newest update said: that is what runs. */
function servicesOf(chain: readonly Plan[]): ServiceSpec[] {
  const specs = new Map<string, ServiceSpec>();
  for (const plan of chain) {
    for (const spec of plan.services) if (!specs.has(spec.module)) specs.set(spec.module, spec);
  }
  return [...specs.values()];
}
