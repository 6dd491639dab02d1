/** What an install is made of once it is planned: the survey behind it takes more than half of the memory, and goes. */
import type { Plan } from '../deploy/plan.ts';
import type { Archive, Listing } from '../package/archive.ts';
import type { Prepared } from './prepare.ts';
import { type Deployed, deployedOf } from './remember.ts';

export interface PlannedInstall {
  readonly plan: Plan;
  readonly deployed: Deployed;
  /** Of the package. */
  readonly listing: Listing;
}

export async function plannedInstall(
  { plan, release, survey, recorded }: Prepared,
  { sizeBytes, entries }: Archive,
): Promise<PlannedInstall> {
  const deployed = await deployedOf(release, survey, recorded, plan.removed ?? []);
  return { plan, deployed, listing: { sizeBytes, entries } };
}
