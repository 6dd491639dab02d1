/**
 * The launcher and the updater's executable on the model disk: what deploy/launch.sh decides before each start, and what must be
 * true of the executable in the end. An executable is a text here: the one of before, or that of the package.
 */
import type { OwnFacts } from '../../src/deploy/probation.ts';
import { readWhole } from '../../src/host/durable-file.ts';
import type { Files } from '../../src/host/host.ts';
import { parseTrustedKey, type TrustedKey } from '../../src/package/signature.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import type { ModelState } from './model-state.ts';
import { textAt, treeOf } from './model-tree.ts';

/** What the new updater does: it works, or it ends at each start. */
export type NewUpdater = 'works' | 'crashes';

const workDirectory = '/var/lib/tope';
export const executablePath = `${workDirectory}/tope-updater`;
const previousPath = `${executablePath}.previous`;
const probationPath = `${workDirectory}/probation`;
export const updaterBefore = 'updater before';
const updaterOfPackage = 'updater of the package, a longer one';

const signer = newSigner(Buffer.alloc(32, 7));
export const trustedKey: TrustedKey = parseTrustedKey(signer.publicKey);

/** The package with an updater in it, signed. */
export function withUpdater(spec: PackageSpec): PackageSpec {
  return {
    ...spec,
    modules: [...spec.modules, { name: 'updater', src: 'm/updater', self: true }],
    files: { ...spec.files, 'm/updater': { content: updaterOfPackage, mode: 0o755, compress: false } },
    withDigests: true,
    sign: (manifest) => signer.sign(manifest),
  };
}

/** Starts until one does not end at once; says how it was started. `isTry` false: what recovers before the services. */
export async function launch(
  files: Files,
  bootId: string,
  newUpdater: NewUpdater,
  isTry = true,
): Promise<Pick<OwnFacts, 'path' | 'arch' | 'refusal' | 'isFallback'>> {
  const started = { path: executablePath, arch: 'x64', refusal: undefined };
  for (;;) {
    const probation = await textOf(files, probationPath);
    const isWatched = probation !== undefined && (await files.stat(previousPath)) !== undefined;
    if (isWatched && isCondemned(probation, bootId)) return { ...started, isFallback: true };
    if (!isTry) return { ...started, isFallback: false };
    if (isWatched) await addLine(files, bootId);
    const isNew = (await textOf(files, executablePath)) === updaterOfPackage;
    if (!isWatched || !isNew || newUpdater === 'works') return { ...started, isFallback: false };
  }
}

/** As `count` of deploy/launch.sh; the last line without its end is none. */
function isCondemned(probation: string, bootId: string): boolean {
  let [failed, starts, last] = [0, 0, ''];
  for (const line of probation.split('\n').slice(0, -1)) {
    if (line.startsWith('update ') || line === 'committed') continue;
    if (line === 'ended') {
      last = '';
      continue;
    }
    starts += 1;
    if (line === last) failed += 1;
    last = line;
  }
  if (last === bootId) failed += 1;
  return failed >= 3 || starts >= 10;
}

async function addLine(files: Files, line: string): Promise<void> {
  const file = await files.open(probationPath, 'append');
  await file.write(Buffer.from(`${line}\n`), 0);
  await file.sync();
  await file.close();
}

async function textOf(files: Files, path: string): Promise<string | undefined> {
  const bytes = await readWhole(files, path, 64 * 1024);
  return bytes && Buffer.from(bytes).toString('latin1');
}

/** The executable is that of the set that stands, and nothing of a probation is left beside what is old. */
export function wrongUpdater(state: ModelState, isNew: boolean): string | undefined {
  const stands = textAt(state, executablePath);
  const wanted = isNew ? updaterOfPackage : updaterBefore;
  if (stands !== wanted) return `the set is ${isNew ? 'new' : 'old'}, the updater is ${stands}`;
  const names = [...treeOf(state, workDirectory).keys()].map((path) => path.slice(workDirectory.length + 1));
  // Where the old set stands, the one before is another name of what stands, and takes no room.
  const mayBe = ['tope-updater', 'tope-updater.previous', ...(isNew ? ['probation'] : [])];
  const strays = names.filter(
    (name) => name !== '' && !/^(tmp|logs|backups|reserve)(\/|$)/.test(name) && !mayBe.includes(name),
  );
  if (strays.length > 0)
    return `left in the work directory, the set is ${isNew ? 'new' : 'old'}: ${strays.join(', ')}`;
  const previous = textAt(state, previousPath);
  return previous === undefined || previous === updaterBefore
    ? undefined
    : `the updater before is ${previous}`;
}
