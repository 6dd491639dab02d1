/** Room for one plan that was made before its install (operations/early-plan.ts). */
import type { EarlyPlan } from '../operations/early-plan.ts';

export interface EarlySlot {
  keep(plan: EarlyPlan | undefined): void;
  /** It is used once. */
  take(): EarlyPlan | undefined;
  /** The package goes. */
  drop(): void;
}

export function createEarlySlot(): EarlySlot {
  let held: EarlyPlan | undefined;
  const drop = () => {
    held = undefined;
  };
  return {
    keep(plan) {
      held = plan;
    },
    take() {
      const plan = held;
      drop();
      return plan;
    },
    drop,
  };
}
