/** What dpkg is told of a package: control, conffiles, md5sums, the maintainer's scripts, and Debian's form of a changelog. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { projectRoot, releaseMs } from './bundle.ts';

const names = ['tope-updater', 'tope-updater-node'] as const;
export type PackageName = (typeof names)[number];

export interface Control {
  readonly name: PackageName;
  readonly architecture: string;
  readonly depends: string;
  readonly version: string;
}

/** `1.2.0-rc.1` comes before `1.2.0`: Debian writes that with a tilde. */
export function debianVersion(version: string): string {
  return version.replace('-', '~');
}

/** DEB_MAINTAINER names whoever publishes the packages. */
const maintainer =
  process.env.DEB_MAINTAINER ?? 'tope-updater authors <tope-updater@users.noreply.github.com>';

/** Writes DEBIAN/ for the files that lie in `root`. */
export function placeControl(root: string, { name, architecture, depends, version }: Control): void {
  const files = filesBelow(root).sort();
  const installedKb = files.reduce((kb, path) => kb + Math.ceil(statSync(join(root, path)).size / 1024), 0);
  const conffiles = files.filter((path) => path.startsWith('etc/'));
  const other = names.filter((each) => each !== name).join(', ');
  const texts: Record<string, string> = {
    control: `Package: ${name}
Version: ${debianVersion(version)}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${installedKb}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: ${depends}
Conflicts: ${other}
Replaces: ${other}
Section: admin
Priority: optional
Description: over-the-air updates of an embedded device${name === 'tope-updater' ? '' : " (on Debian's Node.js)"}
 Downloads update packages, proves that they are the right ones, and replaces
 programs and files so that a power cut at any instant leaves all old or all
 new. Restarts services in order, checks their health, and puts everything back
 when the new version is not healthy.
`,
    conffiles: conffiles.map((path) => `/${path}\n`).join(''),
    md5sums: files
      .filter((path) => !conffiles.includes(path))
      .map((path) => `${md5(join(root, path))}  ${path}\n`)
      .join(''),
  };
  const folder = join(root, 'DEBIAN');
  mkdirSync(folder);
  chmodSync(folder, 0o755);
  const put = (file: string, content: string, mode: number) => {
    writeFileSync(join(folder, file), content);
    chmodSync(join(folder, file), mode);
  };
  for (const [file, content] of Object.entries(texts)) put(file, content, 0o644);
  for (const script of ['preinst', 'postinst', 'prerm', 'postrm'])
    put(script, readFileSync(join(projectRoot, 'deploy/deb', script), 'utf8'), 0o755);
}

/** Of this version alone: CHANGELOG.md lies beside it. */
export function debianChangelog(name: PackageName, version: string): string {
  const day = new Date(releaseMs()).toUTCString().replace('GMT', '+0000');
  return `${name} (${debianVersion(version)}) stable; urgency=medium

  * What has changed stands in CHANGELOG.md.gz beside this file.

 -- ${maintainer}  ${day}
`;
}

function md5(path: string): string {
  return createHash('md5').update(readFileSync(path)).digest('hex');
}

/** Regular files, relative to `root`. */
function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}
