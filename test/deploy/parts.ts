/** The parts of a transaction on a temporary device, as tests put them together: module -> plan -> staged and backed up. */
import { join } from 'node:path';
import { saveBackups } from '../../src/deploy/backup.ts';
import { readLeaving } from '../../src/deploy/leaving.ts';
import { makePlan } from '../../src/deploy/make-plan.ts';
import type { Plan } from '../../src/deploy/plan.ts';
import { withPlanGroup } from '../../src/deploy/plan-group.ts';
import { nothingRecorded, type Recorded } from '../../src/deploy/recorded.ts';
import { checkPlanFits } from '../../src/deploy/space.ts';
import { createStager, makeDirectories, stageLinks } from '../../src/deploy/stage.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { surveyRelease } from '../../src/deploy/survey.ts';
import type { Territory } from '../../src/deploy/territory.ts';
import { UpdateError } from '../../src/errors.ts';
import { breathing } from '../../src/host/breathing.ts';
import type { Release, ReleaseModule } from '../../src/release.ts';
import type { Device } from './rig.ts';

/** A module whose tree (or single file) is `files`: path relative to the module's target -> content. */
export function moduleOf(
  d: Device,
  name: string,
  files: Record<string, string>,
  isTree = true,
): ReleaseModule {
  const target = join(d.targets, name);
  const directories = new Set<string>(isTree ? [target] : []);
  for (const path of Object.keys(files)) {
    const parts = path.split('/').slice(0, -1);
    parts.forEach((_, index) => {
      directories.add(join(target, ...parts.slice(0, index + 1)));
    });
  }
  return {
    name,
    target,
    isTree,
    directories: isTree ? [...directories].sort() : [],
    files: Object.entries(files).map(([path, content]) => ({
      entry: content,
      target: isTree ? join(target, path) : target,
      sizeBytes: Buffer.byteLength(content),
      mode: 0o644,
      modeIsForced: false,
      md5: undefined,
      sha256: undefined,
      whenThere: 'replace' as const,
    })),
    owner: undefined,
    exact: true,
    config: [],
    keep: [],
    commands: undefined,
    service: {
      module: name,
      processName: undefined,
      restartOrder: undefined,
      unit: undefined,
      start: undefined,
      health: undefined,
    },
  };
}

/** Surveys and plans an update of these modules. */
export async function planFor(
  d: Device,
  modules: ReleaseModule[],
  recorded: Recorded = nothingRecorded,
  more: Partial<Release & Territory> = {},
): Promise<Plan> {
  const release: Release = {
    version: '2.0.0',
    modules,
    compatible: undefined,
    minVersion: undefined,
    reboot: false,
    ...more,
  };
  const territory = { allowedRoots: [d.targets], workDirectory: join(d.root, 'work'), ...more };
  const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const leaving = await readLeaving(d.host, d.backups, release);
  const survey = await surveyRelease(d.host, release, territory, self, recorded, leaving);
  const plan = await makePlan(
    {
      id: '20261123T200000000Z',
      kind: 'update',
      version: '2.0.0',
      previousVersion: null,
      startedMs: 0,
      modules: modules.map(({ name }) => name),
      services: [],
      consumes: [],
      reboot: false,
      backupDirectory: d.backups,
      moduleRoots: survey.moduleRoots,
    },
    breathing(survey.wants),
    survey.facts,
    await openSteps(),
  );
  await checkPlanFits(d.host.files, plan, survey.facts, d.backups);
  return plan;
}

/** Stages every file with the content that its entry's name is, and saves the backups. */
export async function prepare(d: Device, plan: Plan): Promise<void> {
  await makeDirectories(d.host, plan);
  await withPlanGroup(d.host.files, plan, [d.backups], 'DEPLOYMENT_FAILED', async (group) => {
    await stageLinks(d.host, plan);
    const stager = await createStager(d.host, plan, group);
    for (const source of stager.sources) {
      const writer = await stager.open(source);
      await writer.write(Buffer.from(source));
      await writer.end();
    }
    await stager.close();
    return saveBackups(d.host, d.backups, plan, group);
  });
}

/** The message of the UpdateError that `action` rejects with. */
export async function refusal(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (thrown) {
    if (thrown instanceof UpdateError) return thrown.message;
    throw thrown;
  }
  throw new Error('nothing was refused');
}
