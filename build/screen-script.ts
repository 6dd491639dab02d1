/**
 * Bundles src/screen/browser into the script of the page: ES2015, as the browsers of old panels (WebKit 602, Chromium 49)
 * have it, in one expression without a line of its own.
 */
import { join } from 'node:path';
import { build } from 'esbuild';

export async function bundledScreen(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, '../src/screen/browser/page.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2015',
    charset: 'utf8',
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
  });
  return outputFiles.map(({ text }) => text.trim()).join('');
}
