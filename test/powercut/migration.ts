/**
 * A database that a package's commands migrate: `before_start` brings it to the new version, `on_undo` back. As a careful program
 * does it: new file, fsync, rename, fsync of the directory.
 */
import { posix } from 'node:path';
import type { Files } from '../../src/host/host.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import type { ModelDisk } from './model-disk.ts';
import type { ModelState } from './model-state.ts';
import { textAt } from './model-tree.ts';

/** The programs of the commands; the argument is the version to migrate to, or `fail`. The careless one syncs nothing. */
const migrate = '/bin/migrate';
const migrateCarelessly = '/bin/migrate-carelessly';
const database = '/var/lib/database';

/** The package with commands at its first module; `then`: more of before_start. */
export function migrating(
  spec: PackageSpec,
  from: string,
  then: readonly string[] = [],
  program = migrate,
): PackageSpec {
  const [first, ...rest] = spec.modules;
  const commands = {
    before_start: [[program, spec.version], ...then.map((to) => [program, to])],
    on_undo: [[program, from]],
  };
  return { ...spec, modules: [{ ...first, ...commands }, ...rest] };
}

/** The same with commands that leave it to the updater to make durable what they write. */
export function migratingCarelessly(spec: PackageSpec, from: string): PackageSpec {
  return migrating(spec, from, [], migrateCarelessly);
}

/** Runs a command on the disk and gives its exit status; undefined: it is none of ours. `sync`, too, is the updater's own request. */
export function runMigration(
  { files, syncMachine }: ModelDisk,
  argv: readonly string[],
): Promise<number> | undefined {
  const [program, to = ''] = argv;
  if (program === 'sync') {
    syncMachine();
    return Promise.resolve(0);
  }
  if (program !== migrate && program !== migrateCarelessly) return undefined;
  if (to === 'fail') return Promise.resolve(1);
  // Not below the updater's calls on the stack, as they name who asks for a sync.
  return new Promise((resolve, reject) => {
    setImmediate(() => write(files, to, program === migrate).then(() => resolve(0), reject));
  });
}

/** A program was started: what is wrong where the database is not of the version that `program`, its file, is of. */
export async function wrongAtStart(
  files: Files,
  program: string,
  versionBefore: string,
): Promise<string | undefined> {
  const [ofProgram, ofDatabase] = [(await read(files, program))?.split(' ')[1], await read(files, database)];
  return ofProgram === (ofDatabase ?? versionBefore)
    ? undefined
    : `${program} of ${ofProgram} was started on a database of ${ofDatabase ?? versionBefore}`;
}

/** The mark that tells of it. */
export function unmigratedMark(wrong: string): string {
  return `unmigrated ${wrong}`;
}

/** The mark of a command of ours that is run. */
export function migratedMark(argv: readonly string[]): string {
  return `migrated ${argv.at(-1)}`;
}

/** An undo has ended when the old programs run again: what they wrote since must not meet its commands once more. */
function undoneAgain(marks: readonly string[], versionBefore: string): string | undefined {
  const back = migratedMark([versionBefore]);
  let hasEnded = false;
  let isBack = false;
  for (const mark of marks) {
    if (mark === back && hasEnded) return 'on_undo ran again after the old programs were started';
    if (mark.startsWith('migrated ')) [isBack, hasEnded] = [mark === back, false];
    if (mark.startsWith('started ')) hasEnded = isBack;
  }
  return undefined;
}

/** At rest: the database is of the version that stands, and no program was started on another one. */
export function wrongDatabase(
  state: ModelState,
  version: string,
  versionBefore: string,
  marks: readonly string[],
): string | undefined {
  const unmigrated = marks.find((mark) => mark.startsWith(unmigratedMark('')));
  if (unmigrated !== undefined) return unmigrated;
  const again = undoneAgain(marks, versionBefore);
  if (again !== undefined) return again;
  const found = textAt(state, database) ?? versionBefore;
  return found === version ? undefined : `the database is of ${found}, ${version} stands`;
}

async function write(files: Files, version: string, isCareful: boolean): Promise<void> {
  const scratch = `${database}.new`;
  if (await files.stat(scratch)) await files.remove(scratch);
  const file = await files.open(scratch, 'create');
  await file.write(Buffer.from(version), 0);
  if (isCareful) await file.sync();
  await file.close();
  await files.rename(scratch, database);
  if (isCareful) await files.syncDirectory(posix.dirname(database));
}

async function read(files: Files, path: string): Promise<string | undefined> {
  if ((await files.stat(path)) === undefined) return undefined;
  const file = await files.open(path, 'read');
  const content = new Uint8Array((await file.stat()).sizeBytes);
  await file.read(content, 0, content.length, 0);
  await file.close();
  return Buffer.from(content).toString();
}
