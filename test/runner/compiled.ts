/**
 * Compiles test files once, before they run: through tsx each file's process would spend half a second on it. What
 * several files import becomes a file of its own. `import.meta.url` and its like stay those of the source file.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin, stop } from 'esbuild';

/**
 * Writes the TypeScript files among `files` into `folder`, which is to lie below the project, where its packages are
 * found. Gives for each of `files` the script to run; rejects with esbuild's words where one does not compile.
 */
export async function compile(
  files: readonly string[],
  folder: string,
): Promise<ReadonlyMap<string, string>> {
  const root = process.cwd();
  const isCompiled = (file: string) => file.endsWith('.ts');
  await build({
    entryPoints: files.filter(isCompiled),
    outdir: folder,
    outbase: root,
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    outExtension: { '.js': '.mjs' },
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [ownPlaces],
  });
  await stop();
  const script = (file: string) => join(folder, relative(root, file).replace(/\.ts$/, '.mjs'));
  return new Map(files.map((file) => [file, isCompiled(file) ? script(file) : file]));
}

/** Where a file lies is said by its source, wherever its code comes to lie. */
const ownPlaces: Plugin = {
  name: 'import.meta of the source',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const places = { url: pathToFileURL(path).href, dirname: dirname(path), filename: path };
      const contents = readFileSync(path, 'utf8').replace(
        /\bimport\.meta\.(url|dirname|filename)\b/g,
        (_, name: keyof typeof places) => JSON.stringify(places[name]),
      );
      return { contents, loader: 'ts' };
    });
  },
};
