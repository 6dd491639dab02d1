/**
 * Writes the software bill of materials (CycloneDX, JSON): the libraries as `cyclonedx-npm` finds them in the
 * lockfile, of these only what the bundler took in (it lists optional peers too), and the Node runtimes, which no
 * lockfile knows.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './bundle.ts';
import type { Runtime } from './runtime.ts';

interface Component {
  readonly 'bom-ref': string;
  readonly group?: string;
  readonly name: string;
}

interface Dependency {
  readonly ref: string;
  readonly dependsOn?: readonly string[];
}

interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly Dependency[];
}

/** `packages`: what the bundle holds, by npm name. */
export function writeSbom(output: string, packages: readonly string[], runtimes: readonly Runtime[]): void {
  const tool = join(
    projectRoot,
    'build/packaging/node_modules/@cyclonedx/cyclonedx-npm/bin/cyclonedx-npm-cli.js',
  );
  const options = [
    '--package-lock-only',
    '--omit',
    'dev',
    '--output-reproducible',
    '--output-format',
    'JSON',
  ];
  const text = execFileSync(process.execPath, [tool, ...options, '--output-file', '-', 'package.json'], {
    cwd: projectRoot,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const bom = JSON.parse(text) as Bom;
  const libraries = bom.components.filter(({ group, name }) =>
    packages.includes(group === undefined ? name : `${group}/${name}`),
  );
  const components = [...libraries, ...runtimes.map(runtimeComponent)];
  const kept = new Set([bom.metadata.component, ...components].map((component) => component['bom-ref']));
  const dependencies = bom.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((name) => kept.has(name)) }));
  writeFileSync(output, `${JSON.stringify({ ...bom, components, dependencies }, null, 2)}\n`);
}

function runtimeComponent({ arch, version, path }: Runtime): Component & Record<string, unknown> {
  return {
    type: 'platform',
    'bom-ref': `node-linux-${arch}@${version}`,
    name: 'node',
    version,
    description: `the Node.js runtime of tope-updater-${arch}, symbols stripped`,
    hashes: [{ alg: 'SHA-256', content: createHash('sha256').update(readFileSync(path)).digest('hex') }],
    licenses: [{ license: { id: 'MIT' } }],
    purl: `pkg:generic/node@${version}?arch=${arch}&os=linux`,
  };
}
