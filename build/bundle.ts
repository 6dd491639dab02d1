/**
 * Bundles src/main.ts and every library it uses into dist/tope-updater.cjs, one file that runs with Node alone, with a
 * source map beside it.
 *
 * Invariants: `await import(...)` becomes a `require` at the same place, so that what is loaded lazily stays lazy and
 * also works inside an executable, where import() finds no files. The bytes depend on the sources and the lockfile
 * only, never on the time or the folder.
 *
 * Usage: tsx build/bundle.ts [OUTPUT.cjs]
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundledScreen } from './screen-script.ts';

export const projectRoot = resolve(fileURLToPath(import.meta.url), '../..');
export const bundlePath = join(projectRoot, 'dist/tope-updater.cjs');

export const projectVersion = (
  JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }
).version;

/** The day of the newest release in the change log: later than nothing that is built from it, and the same whenever that is. */
export function releaseMs(changelog = readFileSync(join(projectRoot, 'CHANGELOG.md'), 'utf8')): number {
  const day = /^## \[\d[^\]]*\] - (\d{4}-\d\d-\d\d)$/m.exec(changelog)?.[1];
  if (day === undefined) throw new Error('CHANGELOG.md names no release with its day');
  return Date.parse(day);
}

/** Writes the bundle of `entry` to `outfile`, its source map beside it; `packages` names the npm packages inside. */
export async function writeBundle(
  outfile = bundlePath,
  entry = join(projectRoot, 'src/main.ts'),
): Promise<{ packages: string[] }> {
  const { metafile } = await build({
    entryPoints: [entry],
    outfile,
    absWorkingDir: projectRoot,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    supported: { 'dynamic-import': false },
    // Pure ASCII (the default), because V8 keeps such a source in one byte a character. Whitespace and dead code cost
    // memory on the device as well; names stay, they make a stack trace readable without the map.
    minifySyntax: true,
    minifyWhitespace: true,
    // Not named in the bundle: under coverage every start would read it.
    sourcemap: 'external',
    sourcesContent: false,
    legalComments: 'none',
    banner: {
      js: `/* tope-updater ${projectVersion}, MIT; the licences of what is inside: LICENSES.txt of the release */`,
    },
    define: {
      TOPE_UPDATER_VERSION: JSON.stringify(projectVersion),
      TOPE_UPDATER_BUILD_MS: String(releaseMs()),
      TOPE_UPDATER_SCREEN: JSON.stringify(await bundledScreen()),
    },
    logLevel: 'warning',
    metafile: true,
  });
  const names = Object.keys(metafile.inputs).map(
    (path) => /^node_modules\/((@[^/]+\/)?[^/]+)/.exec(path)?.[1],
  );
  return { packages: [...new Set(names)].filter((name) => name !== undefined).sort() };
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await writeBundle(process.argv[2] === undefined ? bundlePath : resolve(process.argv[2]));
}
