/**
 * Repair: what an audit finds damaged is restored by a transaction as of an update, and the services concerned are restarted.
 * From its own bytes where only mode or owner are wrong, else from a backup of the very bytes that were deployed, else from the
 * package where it was kept; what none of them has is told.
 */

import { type AuditResult, audit, type Damage, type Mended, reportOf } from '../audit/audit.ts';
import type { AuditReport } from '../audit/audit-report.ts';
import { carryAttributes } from '../deploy/carried-attributes.ts';
import { makePlan } from '../deploy/make-plan.ts';
import { refuseOwnFiles } from '../deploy/own-files.ts';
import { pastUpdates } from '../deploy/past-updates.ts';
import type { Plan } from '../deploy/plan.ts';
import { nothingRecorded } from '../deploy/recorded.ts';
import { checkPlanFits } from '../deploy/space.ts';
import { openSteps } from '../deploy/step-list.ts';
import { surveyWants } from '../deploy/survey.ts';
import { refuseStrangers } from '../deploy/turned.ts';
import type { Want } from '../deploy/want.ts';
import { UpdateError } from '../errors.ts';
import { commandsOfRepair, commandsPart } from './commands.ts';
import { beginningOf, ownerOfUpdater } from './prepare.ts';
import { findSources, type Sources, stageSources } from './repair-sources.ts';
import { runTransaction } from './transaction.ts';
import type { Outcome, TransactionContext } from './transaction-context.ts';

/** Compares everything and restores what can be. `publish` has the report before the end. Throws NO_BACKUP, or where nothing can be restored. */
export async function repair(
  context: TransactionContext,
  publish: (report: AuditReport) => Promise<void>,
): Promise<Outcome> {
  const { host, backupDirectory } = context;
  const signal = AbortSignal.any([context.cancel, context.shutdown]);
  const result = await audit(host, backupDirectory, {
    signal,
    pace: () => undefined,
    onFile: () => undefined,
  });
  const tell = (mended: ReadonlyMap<string, Mended>) => publish(reportOf(result, host.clock.now(), mended));
  host.memory.trim();
  if (result.damages.length === 0 && result.missingDirectories.length === 0) {
    await tell(new Map());
    return { kind: 'committed' };
  }
  const sources = await findSources(host, backupDirectory, result, signal);
  if (sources.restorable.size === 0 && result.damages.length > 0) {
    await tell(sources.hopeless);
    throw new UpdateError('NO_BACKUP', hopelessText(result, sources));
  }
  const plan = await planRepair(context, result, sources);
  const endOf = (error: UpdateError | null): ReadonlyMap<string, Mended> => {
    const tried = [...sources.restorable].map(([path, { from }]): [string, Mended] => [
      path,
      error === null ? { restored: true, note: from } : { restored: false, note: error.message },
    ]);
    return new Map([...sources.hopeless, ...tried]);
  };
  return runTransaction(
    {
      ...context,
      onEnd: async (ended, error) => {
        await tell(endOf(error));
        await context.onEnd(ended, error);
      },
    },
    plan,
    (group) => stageSources(context, plan, sources, group),
  );
}

async function planRepair(
  { host, backupDirectory, ownPaths }: TransactionContext,
  result: AuditResult,
  sources: Sources,
): Promise<Plan> {
  const { header, modules } = result;
  const damages = result.damages.filter(({ file }) => sources.restorable.has(file.path));
  const wants: Want[] = [
    ...result.missingDirectories.map(({ module, path, mode, uid, gid }): Want => {
      return { kind: 'directory', module, target: path, mode, owner: { uid, gid } };
    }),
    ...damages.map((damage) => wantOf(damage, sources)),
  ];
  const names = [...new Set(damages.map(({ file }) => file.module))];
  const services = names.flatMap((name) => modules.get(name)?.service ?? []);
  const self = await ownerOfUpdater(host.files, backupDirectory);
  const surveyed = await surveyWants(host.files, wants, self);
  const files = wants.filter((want) => want.kind === 'file');
  const facts = { ...surveyed, attributes: await carryAttributes(host, files, surveyed, nothingRecorded) };
  await refuseOwnFiles(host.files, ownPaths, wants, facts.found, 'DEPLOYMENT_FAILED');
  await refuseStrangers(host.files, wants, facts);
  const plan = await makePlan(
    {
      ...(await beginningOf(host, backupDirectory)),
      kind: 'repair',
      version: header.version,
      previousVersion: header.version,
      modules: names,
      services,
      servicesBefore: services,
      reboot: false,
      ...commandsPart(
        commandsOfRepair(
          names.flatMap((name) => modules.get(name) ?? []),
          header.version,
          await pastUpdates(host, backupDirectory),
        ),
      ),
    },
    wants,
    facts,
    await openSteps(),
  );
  await checkPlanFits(host.files, plan, facts, backupDirectory);
  return plan;
}

function wantOf({ file }: Damage, { restorable }: Sources): Want {
  const { module, path, uid, gid } = file;
  const common = { kind: 'file', module, target: path, owner: { uid, gid }, modeIsForced: true } as const;
  if (file.kind === 'link') {
    const sizeBytes = Buffer.byteLength(file.to);
    const nothing = { source: path, mode: undefined, md5: undefined, sha256: undefined };
    return { ...common, ...nothing, sizeBytes, link: file.to };
  }
  const { sizeBytes, mode, sha256, seal, attributes } = file;
  return {
    ...common,
    source: restorable.get(path)?.source ?? path,
    sizeBytes,
    mode,
    md5: undefined,
    sha256,
    seal,
    attributes,
  };
}

function hopelessText({ damages }: AuditResult, { hopeless }: Sources): string {
  const [first] = damages;
  const path = first?.file.path ?? '';
  const more = damages.length > 1 ? ` (and ${damages.length - 1} more)` : '';
  return `${path}${more} cannot be restored: ${hopeless.get(path)?.note ?? ''}`;
}
