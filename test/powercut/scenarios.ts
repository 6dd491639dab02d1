/**
 * What is cut: each scenario is a device as it was, what happens to it, and how it must end when nothing goes wrong.
 * Files are a few blocks at most: what matters is how many there are, where, and in which order they change.
 */
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { executablePath, type NewUpdater, updaterBefore, withUpdater } from './launcher.ts';
import { migrating, migratingCarelessly } from './migration.ts';
import {
  api,
  before,
  beforeTree,
  dressed,
  leaving,
  links,
  manyModules,
  mostlyTheSame,
  newDirectories,
  nextLinks,
  nextTree,
  settings,
  setUid,
  threeModules,
  tree,
  turned,
  turning,
  twoPrograms,
  versionBefore,
  voice,
  withAttributes,
} from './scenario-packages.ts';
import type { Session } from './session.ts';

export interface Scenario {
  readonly name: string;
  /** Directories below `/` that are filesystems of their own. */
  readonly mounts: readonly string[];
  /** Whether these can be synced as a whole; where not, each file is. */
  readonly syncsWhole: boolean;
  /** Path -> content of what stands on the device before any update; mode 0755, root. */
  readonly files: Readonly<Record<string, string>>;
  /** Extended attributes of these, name -> value in base64. */
  readonly attributes: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Updates installed before the power is of interest. */
  readonly earlier: readonly PackageSpec[];
  /** What became of deployed files since: other bytes, or null where they are gone. */
  readonly damage: Readonly<Record<string, string | null>>;
  /** What the package store serves; downloaded and verified before the recording begins, unless `act` downloads. */
  readonly package: PackageSpec | undefined;
  /** Packed by `pack`, in that way, with patches against the last of `earlier`: most of it need not be fetched. */
  readonly packing: 'deflated' | 'stored' | undefined;
  /** The answer to the first question of each life breaks off after so many bytes. */
  readonly breaksAfterBytes: number | undefined;
  /** Lives of the updater that a power cut ended, each at the first program that it ended or started. */
  readonly cutBefore: readonly ('ended' | 'started')[];
  /** What happens while the power may go; `restart`: the updater starts and goes on by itself. */
  readonly act: 'download' | 'update' | 'rollback' | 'repair' | 'restart';
  /** The same package is asked for again when `act` has ended. */
  readonly thenDownload: boolean;
  /** Exit status of health checks; after a restart it may be another. */
  readonly healthStatus: number;
  readonly healthAfterRestart: number;
  /** Programs that ignore signals, so that the update is given up before anything is switched. */
  readonly stubborn: readonly string[];
  /** A deployed file that every program writes a line to when it is started, and, as it `savesLast`, when it ends. */
  readonly ownFile: string | undefined;
  readonly savesLast: boolean;
  /** Its packages migrate a database (migration.ts). */
  readonly migrates: boolean;
  /** The package brings an updater that does so; undefined: none is in it. */
  readonly newUpdater: NewUpdater | undefined;
  /** The package stays after its install. */
  readonly keepPackage: boolean;
  readonly answersReports: boolean;
  /** argv of what runs, as long as its program stands: what an update takes away does not, what a rollback brings back does. */
  readonly programs: readonly (readonly string[])[];
  /**
   * Which set stands at the end of an undisturbed run: the one before `act`, or the new one. `oldUnlessCut`: the old
   * one, but a restart on the way may lead to the new one.
   */
  readonly ends: 'old' | 'new' | 'oldUnlessCut';
}

const usual = {
  mounts: [],
  syncsWhole: true,
  files: before,
  attributes: {},
  earlier: [],
  damage: {},
  package: threeModules('1.1.0'),
  packing: undefined,
  breaksAfterBytes: undefined,
  cutBefore: [],
  act: 'update',
  thenDownload: false,
  healthStatus: 0,
  healthAfterRestart: 0,
  stubborn: [],
  ownFile: undefined,
  migrates: false,
  newUpdater: undefined,
  savesLast: false,
  keepPackage: false,
  answersReports: true,
  programs: [[api]],
  ends: 'new',
} as const satisfies Omit<Scenario, 'name'>;

const withExecutable = { ...before, [executablePath]: updaterBefore };

const failing = { ...usual, healthStatus: 1, healthAfterRestart: 1, ends: 'old' } as const;

export const scenarios: readonly Scenario[] = [
  { ...usual, name: 'install of 3 modules in 3 directories' },
  { ...usual, name: 'install with targets and backups on two filesystems', mounts: ['/opt'] },
  { ...usual, name: 'install with new directories', package: newDirectories('1.1.0') },
  { ...usual, name: 'install of a set-uid program', package: setUid('1.1.0') },
  {
    ...usual,
    name: 'install over programs with capabilities and attributes',
    attributes: dressed,
    package: withAttributes('1.1.0'),
  },
  {
    ...failing,
    name: 'failing health of programs with capabilities and attributes, put back across filesystems',
    mounts: ['/opt'],
    attributes: dressed,
    package: withAttributes('1.1.0'),
  },
  {
    ...usual,
    name: 'asked rollback to programs with capabilities and attributes, across filesystems',
    mounts: ['/opt'],
    attributes: dressed,
    earlier: [withAttributes('1.1.0')],
    package: undefined,
    act: 'rollback',
  },
  { ...usual, name: 'directory module with removals', files: beforeTree, package: tree('1.1.0') },
  {
    ...usual,
    name: 'directory module where no filesystem can be synced as a whole',
    syncsWhole: false,
    files: beforeTree,
    package: tree('1.1.0'),
  },
  {
    ...usual,
    name: 'directory module, its targets and backups on two filesystems',
    mounts: ['/opt'],
    files: beforeTree,
    package: tree('1.1.0'),
  },
  {
    ...failing,
    name: 'failing health of a directory module, put back across filesystems',
    mounts: ['/opt'],
    files: beforeTree,
    package: tree('1.1.0'),
  },
  {
    ...failing,
    name: 'failing health of a directory module where no filesystem can be synced as a whole',
    syncsWhole: false,
    files: beforeTree,
    package: tree('1.1.0'),
  },
  { ...failing, name: 'failing health, everything put back', files: beforeTree, package: tree('1.1.0') },
  { ...failing, name: 'failing health, put back across filesystems', mounts: ['/opt'] },
  {
    ...failing,
    name: 'failing health that is good again after a restart, across filesystems',
    mounts: ['/opt'],
    healthAfterRestart: 0,
    ends: 'oldUnlessCut',
  },
  { ...failing, name: 'failing health while device-api does not answer', answersReports: false },
  { ...failing, name: 'failing health of programs that write to a deployed file', ownFile: settings },
  {
    ...failing,
    name: 'failing health of programs that save to a deployed file while they stop',
    ownFile: settings,
    savesLast: true,
  },
  {
    ...failing,
    name: 'failing health of programs that save while they stop, across filesystems',
    mounts: ['/opt'],
    ownFile: settings,
    savesLast: true,
  },
  { ...failing, name: 'failing health, set-uid programs put back', package: setUid('1.1.0') },
  {
    ...usual,
    name: 'tree of symlinks that come, lead elsewhere, go, and change with files',
    earlier: [links('1.1.0')],
    package: nextLinks('1.2.0'),
  },
  {
    ...failing,
    name: 'failing health of a tree of symlinks, put back across filesystems',
    mounts: ['/opt'],
    earlier: [links('1.1.0')],
    package: nextLinks('1.2.0'),
  },
  {
    ...usual,
    name: 'asked rollback of a tree of symlinks, across filesystems',
    mounts: ['/opt'],
    earlier: [links('1.1.0'), nextLinks('1.2.0')],
    package: undefined,
    act: 'rollback',
  },
  {
    ...usual,
    name: 'tree in which a file becomes a directory and a directory a file',
    earlier: [turning('1.1.0')],
    package: turned('1.2.0'),
  },
  {
    ...failing,
    name: 'failing health of a tree whose files and directories change places, across filesystems',
    mounts: ['/opt'],
    earlier: [turning('1.1.0')],
    package: turned('1.2.0'),
  },
  {
    ...usual,
    name: 'asked rollback of files and directories that have changed places',
    earlier: [turning('1.1.0'), turned('1.2.0')],
    package: undefined,
    act: 'rollback',
  },
  {
    ...usual,
    name: 'repair of symlinks that are gone',
    earlier: [links('1.1.0')],
    damage: { '/opt/tope/lib/foo.so.1': null, '/opt/tope/lib/gone': null },
    package: undefined,
    act: 'repair',
  },
  { ...failing, name: 'failing health, then the next download', thenDownload: true },
  {
    ...usual,
    name: 'program that cannot be stopped beside one that can and writes to a deployed file',
    package: twoPrograms('1.1.0'),
    programs: [[api], [voice]],
    stubborn: [api],
    ownFile: settings,
    ends: 'old',
  },
  {
    ...failing,
    name: 'restart after a cut before the switch, then failing health',
    cutBefore: ['ended'],
    act: 'restart',
  },
  {
    ...usual,
    name: 'second restart after cuts when the programs were started',
    cutBefore: ['started', 'started'],
    act: 'restart',
  },
  {
    ...usual,
    name: 'asked rollback',
    files: beforeTree,
    earlier: [tree('1.1.0')],
    package: undefined,
    act: 'rollback',
  },
  {
    ...failing,
    name: 'asked rollback to a set whose health fails',
    files: beforeTree,
    earlier: [tree('1.1.0'), nextTree('1.2.0')],
    package: undefined,
    act: 'rollback',
  },
  {
    ...usual,
    name: 'pruning of the oldest of four updates',
    earlier: [threeModules('1.0.1'), newDirectories('1.0.2'), threeModules('1.0.3')],
    package: threeModules('1.0.4'),
  },
  {
    ...usual,
    name: 'repair of what rotted, from backups and the kept package',
    earlier: [threeModules('1.1.0'), { ...threeModules('1.1.0'), version: '1.1.1' }, tree('1.1.2')],
    damage: {
      [api]: 'edited',
      [settings]: null,
      '/opt/tope/web/js/app.js': 'rot',
      '/opt/tope/web/index.html': null,
    },
    package: undefined,
    act: 'repair',
    keepPackage: true,
  },
  {
    ...usual,
    name: 'modules that go, with a program and all but what was edited',
    earlier: [manyModules('1.1.0')],
    damage: { '/opt/tope/web/js/app.js': 'edited' },
    package: leaving('1.2.0'),
    programs: [[api], [voice]],
  },
  {
    ...failing,
    name: 'failing health after modules have gone, across filesystems',
    mounts: ['/opt'],
    earlier: [manyModules('1.1.0')],
    package: leaving('1.2.0'),
    programs: [[api], [voice]],
  },
  {
    ...usual,
    name: 'asked rollback that brings back modules with their program',
    earlier: [manyModules('1.1.0'), leaving('1.2.0')],
    package: undefined,
    act: 'rollback',
    programs: [[api], [voice]],
  },
  {
    ...usual,
    name: 'install that migrates a database, at the last start that may',
    package: migrating(threeModules('1.1.0'), versionBefore),
    migrates: true,
    cutBefore: ['ended', 'ended'],
    act: 'restart',
  },
  {
    ...usual,
    name: 'install with commands that sync nothing',
    package: migratingCarelessly(threeModules('1.1.0'), versionBefore),
    migrates: true,
  },
  {
    ...failing,
    name: 'failing health after commands that sync nothing',
    package: migratingCarelessly(threeModules('1.1.0'), versionBefore),
    migrates: true,
  },
  {
    ...failing,
    name: 'failing health after a migration',
    package: migrating(threeModules('1.1.0'), versionBefore),
    migrates: true,
  },
  {
    ...usual,
    name: 'migration that fails in its second command',
    package: migrating(threeModules('1.1.0'), versionBefore, ['fail']),
    migrates: true,
    ends: 'old',
  },
  {
    ...usual,
    name: 'asked rollback of two migrations',
    earlier: [migrating(threeModules('1.1.0'), versionBefore), migrating(threeModules('1.2.0'), '1.1.0')],
    package: undefined,
    act: 'rollback',
    migrates: true,
  },
  {
    ...failing,
    name: 'asked rollback of a migration to a set whose health fails',
    earlier: [migrating(threeModules('1.1.0'), versionBefore), migrating(threeModules('1.2.0'), '1.1.0')],
    package: undefined,
    act: 'rollback',
    migrates: true,
  },
  {
    ...usual,
    name: 'install of a new updater that works',
    files: withExecutable,
    package: withUpdater(threeModules('1.1.0')),
    newUpdater: 'works',
  },
  {
    ...usual,
    name: 'install of a new updater that crashes',
    files: withExecutable,
    package: withUpdater(threeModules('1.1.0')),
    newUpdater: 'crashes',
    ends: 'old',
  },
  { ...usual, name: 'install whose package is kept', keepPackage: true },
  {
    ...usual,
    name: 'install that restarts the machine',
    package: { ...threeModules('1.1.0'), manifest: { reboot: true } },
  },
  { ...usual, name: 'install, then the next download', thenDownload: true },
  { ...usual, name: 'install while device-api does not answer', answersReports: false },
  { ...usual, name: 'install of programs that write to a deployed file', ownFile: settings },
  {
    ...usual,
    name: 'install of programs that save to a deployed file while they stop, across filesystems',
    mounts: ['/opt'],
    ownFile: settings,
    savesLast: true,
  },
  { ...usual, name: 'download, verification and state', act: 'download', ends: 'old' },
  {
    ...usual,
    name: 'download that breaks off while device-api does not answer',
    act: 'download',
    breaksAfterBytes: 5000,
    answersReports: false,
    ends: 'old',
  },
  ...(['deflated', 'stored'] as const).map(
    (packing): Scenario => ({
      ...usual,
      name: `download of what is missing, the rest ${packing === 'stored' ? 'copied' : 'deflated again'} and patched`,
      earlier: [{ ...mostlyTheSame('1.1.0'), withDigests: true }],
      package: mostlyTheSame('1.2.0'),
      packing,
      act: 'download',
      ends: 'old',
    }),
  ),
];

/** Throws where there is none of that name. */
export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario ${name}`);
  return found;
}

/** Does what the scenario says; resolves when the daemon rests. */
export async function act(
  session: Session,
  scenario: Scenario,
  request: () => Parameters<Session['updater']['download']>[0],
): Promise<void> {
  const { updater } = session;
  switch (scenario.act) {
    case 'download':
      await updater.download(request());
      break;
    case 'update':
      await updater.update({ version: request().version, allow_downgrade: false });
      break;
    case 'rollback':
      await updater.rollback(undefined);
      break;
    case 'repair':
      await updater.audit({ repair: true });
      break;
    case 'restart':
      break;
    default:
      scenario.act satisfies never;
  }
  await session.rest();
  if (!scenario.thenDownload) return;
  await updater.download(request());
  await session.rest();
}
