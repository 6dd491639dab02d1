/** What must stand below the root of the printer (test/fixtures/printer): every name, with mode, owner and content. */
import { posix } from 'node:path';
import type { FileSpec } from '../fixtures/package-builder.ts';
import {
  databaseFile,
  enabledUnits,
  isTree,
  madeLinks,
  type Printer,
  type PrinterVersion,
  printerModules,
  printerVersions,
  unitFolder,
} from '../fixtures/printer/releases.ts';
import { isScratchOfUser, sittings, type UserFile, userId } from '../fixtures/printer/user.ts';
import { describeContent, treeOnDisk } from './disk-tree.ts';
import type { Tree } from './model-tree.ts';

/** `factory`: before the first update. */
export type Standing = PrinterVersion | 'factory';

/** Which version stands, and how many sittings of the user there were. */
export function expectedFiles(printer: Printer, standing: Standing, sittingCount: number): Tree {
  const users = userFiles(sittingCount);
  const names = new Map<string, string>([[`${unitFolder}/multi-user.target.wants`, directory(0)]]);
  if (standing !== 'factory') {
    for (const [path, file] of deployedFiles(printer, standing)) names.set(path, describe(file));
    for (const [path, to] of Object.entries(madeLinks(printer, standing)))
      names.set(path, `symlink -> ${to}`);
    for (const unit of enabledUnits(standing))
      names.set(`${unitFolder}/multi-user.target.wants/${unit}`, `symlink -> /etc/systemd/system/${unit}`);
    applyEdits(names, users, standing);
  }
  if (users.size > 0) names.set('web/uploads/deep', directory(userId));
  for (const path of [...names.keys()])
    for (let above = posix.dirname(path); above !== '.'; above = posix.dirname(above))
      if (!names.has(above)) names.set(above, directory(0));
  return names;
}

/** What stands, without the database (it is judged by what it says) and what an editor left where the power went. */
export async function foundFiles({ root }: Pick<Printer, 'root'>): Promise<Tree> {
  const tree = await treeOnDisk(root);
  const folder = posix.dirname(databaseFile);
  const isJudged = (path: string) =>
    path !== folder && !path.startsWith(`${folder}/`) && !isScratchOfUser(path);
  return new Map([...tree].filter(([path]) => isJudged(path)));
}

/** What a boot sees to before services start: files and links of the packages. What commands and `enable` make comes later. */
export function ofSwitch(tree: Tree, printer: Printer): Tree {
  const later = new Set(printerVersions.flatMap((version) => Object.keys(madeLinks(printer, version))));
  return new Map(
    [...tree].filter(
      ([path, what]) =>
        !later.has(path) &&
        !what.startsWith('directory') &&
        !path.includes('.target.wants/') &&
        !/(^|\/)\.tope-[^/]*(\/|$)/.test(path),
    ),
  );
}

/** Files and links by their place below the root, and empty directories. */
function* deployedFiles(
  printer: Printer,
  version: PrinterVersion,
): Generator<readonly [string, FileSpec | 'directory']> {
  for (const { dst, content } of printerModules(printer, version)) {
    if (!isTree(content)) yield [dst, content];
    else
      for (const [path, file] of Object.entries(content))
        if (path.endsWith('/')) yield [posix.join(dst, path.slice(0, -1)), 'directory'];
        else yield [posix.join(dst, path), file];
  }
}

/** What users have made of deployed files, and what the packages put beside or leave because of it. */
function applyEdits(
  names: Map<string, string>,
  users: ReadonlyMap<string, UserFile['what']>,
  version: PrinterVersion,
): void {
  // Deployed once, never replaced: they are of the first version.
  for (const name of ['welcome', 'calibrate'])
    names.set(`web/uploads/${name}.gcode`, text(`; ${name} of 1.0.0\n`));
  for (const [path, what] of users) {
    const ofPackage = names.get(path);
    if (what === null) names.delete(path);
    else if ('linkTo' in what) names.set(path, `symlink -> ${what.linkTo}`);
    else if ('from' in what) {
      // Not edited any more: it is that of the version. The one that it was taken from is before all rollbacks.
      if (version === '1.0.0') names.set(path, text(what.text));
    } else {
      names.set(path, text(what.text, what.mode, what.isOfUser));
      const isConfig = path.startsWith('config/') && ofPackage !== undefined;
      if (isConfig && version !== '1.0.0') names.set(`${path}.new`, ofPackage);
    }
  }
}

/** All that the sittings left, the last of each name. */
function userFiles(sittingCount: number): ReadonlyMap<string, UserFile['what']> {
  return new Map(
    sittings.slice(0, sittingCount).flatMap(({ files }) => files.map(({ path, what }) => [path, what])),
  );
}

function describe(file: FileSpec | 'directory'): string {
  if (file === 'directory') return directory(0);
  if (file.isLink) return `symlink -> ${file.content}`;
  return text(file.content as string | Uint8Array, file.mode);
}

function text(content: string | Uint8Array, mode = 0o644, isOfUser = false): string {
  const owner = isOfUser ? userId : 0;
  return `file ${mode.toString(8)} ${owner}:${owner} ${describeContent(Buffer.from(content))}`;
}

function directory(owner: number): string {
  return `directory 755 ${owner}:${owner}`;
}
