/**
 * Writes the software bill of materials (CycloneDX, JSON): the libraries as `cyclonedx-npm` finds them in the
 * lockfile, and the Node runtimes, which no lockfile knows.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './bundle.ts';
import type { Runtime } from './runtime.ts';

interface Bom {
  components?: unknown[];
  [key: string]: unknown;
}

export function writeSbom(output: string, runtimes: readonly Runtime[]): void {
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
  bom.components = [...(bom.components ?? []), ...runtimes.map(runtimeComponent)];
  writeFileSync(output, `${JSON.stringify(bom, null, 2)}\n`);
}

function runtimeComponent({ arch, version, path }: Runtime): unknown {
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
