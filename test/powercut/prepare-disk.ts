/** The device of a scenario as it is when the recording begins: files, earlier updates, damage, lives that were cut. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import type { PackageRequest } from '../../src/download/request.ts';
import type { Files } from '../../src/host/host.ts';
import { buildPackage, contentBytes, type PackageSpec } from '../fixtures/package-builder.ts';
import { withSource } from '../pack/source-folder.ts';
import { runMigration } from './migration.ts';
import { type ModelDisk, modelDisk } from './model-disk.ts';
import { cloneState, emptyModel, type ModelState } from './model-state.ts';
import { standing } from './model-tree.ts';
import type { Scenario } from './scenarios.ts';
import { allowedRoot, type Session, type SessionScript, startSession, workDirectory } from './session.ts';

export interface Store {
  readonly bytes: Buffer;
  readonly request: PackageRequest;
}

const packageName = 'package.zip';

/** Builds a package and the request for it. */
export async function storePackage(spec: PackageSpec): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), 'powercut-'));
  try {
    const built = await buildPackage(spec, join(directory, packageName));
    return { bytes: await readFile(built.path), request: requestFor(spec, built.sizeBytes, built.md5) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** What the scenario downloads: built as all others, or packed by `pack` with patches against the update before. */
export async function packageOf({ package: spec, earlier, packing }: Scenario): Promise<Store | undefined> {
  const before = earlier.at(-1);
  if (spec === undefined || packing === undefined || before === undefined)
    return spec && (await storePackage(spec));
  let bytes = Buffer.alloc(0);
  await withSource(manifestOf(before), async (source) => {
    const write = ({ files }: PackageSpec) => {
      for (const [name, file] of Object.entries(files))
        source.write(
          name,
          contentBytes(typeof file === 'object' && 'content' in file ? file.content : file),
          0o755,
        );
    };
    const [oldPath, outputPath] = ['old.zip', packageName].map((name) => join(source.folder, name)) as [
      string,
      string,
    ];
    write(before);
    await source.pack({ outputPath: oldPath });
    source.write('manifest.json', JSON.stringify(manifestOf(spec)));
    write(spec);
    const compress = packing === 'deflated';
    await source.pack({ outputPath, compress, deltaFrom: [oldPath] });
    bytes = await readFile(outputPath);
  });
  return { bytes, request: requestFor(spec, bytes.length, createHash('md5').update(bytes).digest('hex')) };
}

function manifestOf({ version, modules }: PackageSpec): object {
  return { version, modules };
}

function requestFor({ version }: PackageSpec, sizeBytes: number, md5: string): PackageRequest {
  return {
    version,
    package_url: `http://127.0.0.1/${packageName}`,
    package_name: packageName,
    package_size: sizeBytes,
    package_md5: md5,
  };
}

/** So slow that it is worth it to make what the device has; the scripted clock lets it cost nothing. */
export function bytesPerSecondOf({ packing }: Scenario): number | undefined {
  return packing === undefined ? undefined : 1_000;
}

/** `old`: the device as the update finds it, the package waiting unless it is to be downloaded; `before`: after the cuts. */
export async function prepareDisk(
  scenario: Scenario,
  store: Store | undefined,
): Promise<{ readonly old: ModelState; readonly before: ModelState }> {
  const disk = modelDisk(emptyModel(scenario.mounts, {}, scenario.syncsWhole));
  for (const directory of ['tmp', 'backups', 'logs'])
    await makePath(disk.files, posix.join(workDirectory, directory));
  await makePath(disk.files, allowedRoot);
  await life(disk, scenario, undefined, async () => undefined); // what each start makes is there before the first update
  for (const [path, text] of Object.entries(scenario.files)) {
    await makePath(disk.files, posix.dirname(path));
    await writeFile(disk.files, path, text, scenario.attributes[path]);
  }
  for (const spec of scenario.earlier) {
    const earlier = await storePackage(spec);
    await life(disk, scenario, earlier, async (session) => {
      await session.updater.download(earlier.request);
      await expectStage(session, 'toInstall');
      await session.updater.update({ version: earlier.request.version, allow_downgrade: false });
      await expectStage(session, 'success');
    });
  }
  for (const [path, text] of Object.entries(scenario.damage)) {
    await disk.files.remove(path);
    if (text !== null) await writeFile(disk.files, path, text);
  }
  if (store !== undefined && scenario.act !== 'download') {
    await life(disk, scenario, store, async (session) => {
      await session.updater.download(store.request);
      await expectStage(session, 'toInstall');
    });
  }
  const old = disk.state();
  let before = old;
  for (const [index, at] of scenario.cutBefore.entries())
    before = await stateAt(before, scenario, store, at, 1000 * index);
  return { old, before };
}

/** The disk at the moment when the update has ended or started its first program, nothing lost. */
async function stateAt(
  before: ModelState,
  scenario: Scenario,
  store: Store | undefined,
  at: Scenario['cutBefore'][number],
  bornMs: number,
): Promise<ModelState> {
  const disk = modelDisk(before);
  let found: ModelState | undefined;
  const onProgram = (event: string) => {
    if (event === at) found ??= cloneState(disk.state());
  };
  await life(
    disk,
    scenario,
    store,
    async ({ updater, rest }) => {
      const { stage } = updater.progress();
      if (stage === 'toInstall')
        await updater.update({ version: store?.request.version ?? '', allow_downgrade: false });
      await rest();
    },
    { bornMs, onProgram },
  );
  if (found === undefined) throw new Error(`${scenario.name}: no program was ${at}`);
  return found;
}

async function life(
  disk: ModelDisk,
  scenario: Scenario,
  store: Store | undefined,
  action: (session: Session) => Promise<void>,
  more: Partial<Pick<SessionScript, 'bornMs' | 'onProgram'>> = {},
): Promise<void> {
  const session = await startSession(disk.files, {
    bootId: 'boot-0',
    bornMs: 0,
    healthStatus: 0,
    answersReports: true,
    programs: standing(disk.state(), allowedRoot, scenario.programs).map((argv) => ({ argv })),
    stubborn: [],
    keepPackage: scenario.keepPackage,
    newUpdater: scenario.newUpdater && 'works',
    download: store?.bytes,
    bytesPerSecond: bytesPerSecondOf(scenario),
    breaksAfterBytes: undefined,
    onAsked: () => undefined,
    onReboot: () => undefined,
    onStage: () => undefined,
    onProgram: () => undefined,
    onCommand: (argv) => runMigration(disk, argv),
    ...more,
  });
  await action(session);
  session.host.advance(60_000);
  await session.stop();
}

async function expectStage(session: Session, wanted: string): Promise<void> {
  const stage = await session.rest();
  if (stage !== wanted)
    throw new Error(
      `${wanted} expected, it is ${stage}: ${session.updater.progress().error}\n${session.host.lines.join('\n')}`,
    );
}

async function writeFile(
  files: Files,
  path: string,
  text: string,
  attributes: Readonly<Record<string, string>> = {},
): Promise<void> {
  const file = await files.open(path, 'create');
  await file.setMode(0o755);
  await file.write(Buffer.from(text), 0);
  for (const [name, value] of Object.entries(attributes)) await file.setAttribute(name, value);
  await file.close();
}

async function makePath(files: Files, path: string): Promise<void> {
  if ((await files.stat(path)) !== undefined) return;
  await makePath(files, posix.dirname(path));
  await files.makeDirectory(path, 0o755);
}
