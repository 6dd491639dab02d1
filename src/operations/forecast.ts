/** What an install would do on this device, from the very plan that it would carry out. For whoever is asked before. Pure. */
import { fileSteps } from '../deploy/plan.ts';
import type { Staying } from '../deploy/staying.ts';
import { breathing } from '../host/breathing.ts';
import { type List, loadPacking } from '../packed-list.ts';
import { oneServices, processNameOf } from '../services/one-service.ts';
import type { Prepared } from './prepare.ts';
import { changedServices } from './service-changes.ts';

export interface Forecast {
  readonly version: string;
  /** Null: nothing is installed. */
  readonly previousVersion: string | null;
  /** Absolute paths. */
  readonly files: {
    readonly added: List<string>;
    /** Those that were edited are in `edited`. */
    readonly replaced: List<string>;
    readonly edited: List<string>;
    /** Of what goes: those that were edited. */
    readonly editedRemoved: List<string>;
    /** Beside files that were edited and stay. */
    readonly beside: List<string>;
    /** Those that were edited are in `editedRemoved`. */
    readonly removed: List<string>;
  };
  readonly staying: readonly Staying[];
  readonly removedModules: readonly string[];
  /** Command lines, in the order in which they run. */
  readonly commands: readonly { readonly module: string; readonly argv: readonly string[] }[];
  /** By unit, else by process, else by module. */
  readonly restarts: readonly string[];
  readonly stops: readonly string[];
  /** Units of the package that this device, without systemd, does not restart. */
  readonly unusedUnits: readonly string[];
  readonly reboot: boolean;
}

export async function forecastOf({ plan, survey, release, hasSystemd }: Prepared): Promise<Forecast> {
  const packing = await loadPacking();
  const list = () => packing.list<string>();
  const [added, replaced, removed, put] = [list(), list(), list(), list()];
  const [edited, editedRemoved] = [list(), list()];
  const wereEdited = packing.map<true>();
  for await (const path of breathing(survey.edited)) wereEdited.set(path, true);
  const beside = new Set(survey.beside);
  for await (const { kind, target } of breathing(fileSteps(plan))) {
    if (kind === 'remove') (wereEdited.has(target) ? editedRemoved : removed).add(target);
    else if (beside.has(target)) put.add(target);
    else if (survey.facts.found.get(target) === undefined) added.add(target);
    else (wereEdited.has(target) ? edited : replaced).add(target);
  }
  const { target, before } = changedServices(plan);
  const services = oneServices(target, before);
  const namesOf = (going: boolean) =>
    services.flatMap((service) => {
      const specs = service.target.length > 0 ? service.target : service.before;
      if (going !== (service.target.length === 0)) return [];
      return (
        specs
          .map((spec) => (hasSystemd ? spec.unit : undefined) ?? processNameOf(spec))
          .find((name) => name !== undefined) ?? []
      );
    });
  return {
    version: release.version,
    previousVersion: plan.previousVersion,
    files: { added, replaced, edited, editedRemoved, beside: put, removed },
    staying: survey.staying,
    removedModules: plan.removed ?? [],
    commands: (plan.commands ?? []).flatMap(({ module, run }) => run.map((argv) => ({ module, argv }))),
    restarts: namesOf(false),
    stops: namesOf(true),
    unusedUnits: hasSystemd ? [] : [...new Set(release.modules.flatMap(({ service }) => service.unit ?? []))],
    reboot: plan.reboot,
  };
}
