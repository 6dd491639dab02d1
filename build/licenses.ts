/** Collects the licence texts of everything inside an executable: this project, the bundled libraries, Node. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './bundle.ts';
import type { Runtime } from './runtime.ts';

/** `packages`: folders below node_modules, as the bundler found them. Throws when one has no licence text. */
export function licenseTexts(packages: readonly string[], runtimes: readonly Runtime[]): string {
  const own = { title: 'tope-updater', text: licenseIn(projectRoot) };
  const libraries = packages.map((name) => {
    const folder = join(projectRoot, 'node_modules', name);
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { title: `${name} ${version}`, text: licenseIn(folder) };
  });
  const versions = new Map(runtimes.map((runtime) => [runtime.version, runtime]));
  const nodes = [...versions.values()].map(({ arch, version, licensePath }) => {
    if (licensePath === undefined)
      throw new Error(`the licence of Node ${version} (${arch}) is missing: put it as LICENSE beside bin/`);
    return { title: `Node.js ${version}`, text: readFileSync(licensePath, 'utf8') };
  });
  return [own, ...libraries, ...nodes]
    .map(({ title, text }) => `${rule}\n${title}\n${rule}\n\n${text}\n`)
    .join('\n');
}

const rule = '='.repeat(100);

function licenseIn(folder: string): string {
  const name = readdirSync(folder).find((file) => /^(licen[sc]e|copying)(\.(md|txt))?$/i.test(file));
  if (name === undefined || !existsSync(join(folder, name))) throw new Error(`${folder} has no licence text`);
  return readFileSync(join(folder, name), 'utf8').trim();
}
