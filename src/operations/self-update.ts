/**
 * The part of a transaction that replaces the updater itself (spec section 14): whether a package may, the trial of the staged
 * executable, its probation, and the hand-over to the one that stands on the disk. Who commits, or takes back, what the
 * journal's `handover` announces is decided in updater/recover.ts.
 */
import { type Plan, type PutStep, putSteps, stagedPath } from '../deploy/plan.ts';
import type { OwnExecutable } from '../deploy/probation.ts';
import { asUpdateError, errno, UpdateError } from '../errors.ts';
import { breathing } from '../host/breathing.ts';
import type { Host } from '../host/host.ts';
import { limits } from '../limits.ts';
import type { SelfRule } from '../package/self-module.ts';
import type { Settings } from '../settings.ts';
import type { TransactionContext } from './transaction-context.ts';

/** What the device says to a package that brings the updater. */
export function selfRuleOf({
  executable,
  trustedKeys,
}: Pick<Settings, 'executable' | 'trustedKeys'>): SelfRule {
  if (executable === undefined)
    return {
      refusal: 'this updater was not started by tope-updater-launch: nobody would take a bad one back',
    };
  if (trustedKeys.length === 0)
    return {
      refusal: 'this device trusts no key (--trust-key), and the updater comes in signed packages only',
    };
  const { path, arch, refusal } = executable;
  return refusal === undefined ? { path, arch } : { refusal };
}

/** The plan, marked where it replaces the updater. Throws DEPLOYMENT_FAILED where the one at hand is still on probation. */
export async function markSelf(plan: Plan, executable: OwnExecutable | undefined): Promise<Plan> {
  const path = executable?.path;
  if (path === undefined || (await putAt(plan, path)) === undefined) return plan;
  // One that a power cut has brought back tries nothing.
  const isOnTrial = async () =>
    (await executable?.probation()) !== undefined && (await executable?.isTrying()) === true;
  if (plan.kind === 'update' && !executable?.isFallback() && (await isOnTrial()))
    throw new UpdateError(
      'DEPLOYMENT_FAILED',
      `the updater is new itself and on probation until it has run for ${limits.probationMs / 60_000} minutes: another one comes after that`,
    );
  return { ...plan, self: path };
}

async function putAt(plan: Plan, path: string): Promise<PutStep | undefined> {
  for await (const step of breathing(putSteps(plan))) if (step.target === path) return step;
  return undefined;
}

/** Does the staged executable run here at all? Throws DEPLOYMENT_FAILED with what it said. */
export async function trySelf(host: Pick<Host, 'processes' | 'clock' | 'log'>, plan: Plan): Promise<void> {
  const step = plan.self === undefined ? undefined : await putAt(plan, plan.self);
  if (step === undefined) return;
  const argv = [stagedPath(step), '--version'];
  const run = () => host.processes.run(argv, limits.selfTrialMs);
  const { status, stdout, stderr } = await run()
    .catch(async (thrown: unknown) => {
      // A child that was started while the file was written holds it open until its own exec.
      if (errno(thrown) !== 'ETXTBSY') throw thrown;
      await host.clock.sleep(limits.processPollMs);
      return run();
    })
    .catch((thrown: unknown) => {
      throw asUpdateError(thrown, 'DEPLOYMENT_FAILED', 'the new updater does not run here');
    });
  const version = /^tope-updater (\S+)\n$/.exec(stdout)?.[1];
  if (status === 0 && version !== undefined) return host.log.info(`the new updater runs here: ${version}`);
  const said = (stderr.trim() || stdout.trim()).slice(0, limits.outputErrorChars);
  throw new UpdateError(
    'DEPLOYMENT_FAILED',
    `the new updater does not run here: --version ends with status ${status} and says ${JSON.stringify(said)}`,
  );
}

/** Before the switch. That of a fallback which takes an update back has begun with the update, and stands. */
export async function beginProbation({ executable }: TransactionContext, plan: Plan): Promise<void> {
  if (plan.self === undefined || executable === undefined) return;
  if (plan.kind === 'rollback' && executable.isFallback()) return;
  await executable.beginProbation(plan.id);
}

/** The end of a transaction: what it had on trial is taken back, or what a fallback has taken back is not on trial any more. */
export async function endProbation(
  { executable }: TransactionContext,
  plan: Plan,
  outcome: 'committed' | 'undone',
): Promise<void> {
  if (plan.self === undefined || executable === undefined) return;
  const isOwn = (await executable.probation())?.update === plan.id;
  if (outcome === 'committed' && (isOwn || !executable.isFallback())) return;
  if (outcome === 'undone' && !isOwn) return;
  // Of a transaction that a fallback began, what comes back under the name is what had failed before; and a rollback brings a
  // copy of what runs, whose start would tell nobody why it was needed.
  await executable.restorePrevious();
  await executable.endProbation();
}

/** Whether another updater is to prove itself before the transaction is committed. */
export async function mustHandOver({ executable }: TransactionContext, plan: Plan): Promise<boolean> {
  if (plan.self === undefined || executable === undefined || executable.isFallback()) return false;
  return !(await executable.isCurrent());
}

/** Of what an earlier updater handed over: resolves when this one has answered to somebody. Throws HEALTH_CHECK_FAILED. */
export async function proveServing({ host, executable, shutdown }: TransactionContext): Promise<void> {
  if (executable === undefined) return;
  await new Promise<void>((resolve, reject) => {
    const late = new UpdateError('HEALTH_CHECK_FAILED', 'the new updater does not answer to its own API');
    const cancel = host.clock.after(limits.selfHealthMs, () => reject(late));
    const giveUp = () => reject(shutdown.reason);
    if (shutdown.aborted) giveUp();
    shutdown.addEventListener('abort', giveUp, { once: true });
    executable
      .serving()
      .then(resolve, reject)
      .finally(() => {
        cancel();
        shutdown.removeEventListener('abort', giveUp);
      });
  });
}

/** The outcome stands. Whoever is not what stands on the disk ends, to be started as that. */
export async function leaveToCurrent({ host, executable }: TransactionContext, plan: Plan): Promise<void> {
  if (plan.self === undefined || executable === undefined || executable.isFallback()) return;
  if (await executable.isCurrent()) return;
  host.log.info('another updater stands on the disk: ending, to be started as that');
  executable.end();
}
