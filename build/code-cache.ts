/**
 * The program of an executable with V8's code of it beside: compiling the bundle was a quarter of a start. Node can have such code made
 * (`useCodeCache`), but only of a script that has not run, and without the flags that decide whether V8 takes it.
 *
 * Invariant: the same bundle, runtime and flags give the same code: V8's random numbers are seeded, and the program runs no further than
 * to a start that is refused.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './bundle.ts';
import type { Arch, Runtime } from './runtime.ts';

/** Files in the folder that they were written to: the main script of the executable, and its assets by their names. */
export interface CompiledProgram {
  readonly main: string;
  readonly assets: Readonly<Record<string, string>>;
}

/** Writes the three files to `folder`, where the bundle lies. Undefined where the runtime cannot be run here: then each start compiles the bundle. */
export function compileProgram(
  runtime: Runtime,
  bundle: string,
  flags: readonly string[],
  folder: string,
): CompiledProgram | undefined {
  const run = runnerOf(runtime);
  if (run === undefined) return undefined;
  const text = readFileSync(join(folder, bundle));
  if (text.some((byte) => byte > 127)) throw new Error(`${bundle} is not pure ASCII`);
  const [main, program, code] = ['loader.cjs', 'program.js', 'program.code'];
  copyFileSync(join(tools, main), join(folder, main));
  writeFileSync(join(folder, program), `(function(require){${text}\n})`);
  const [command = '', ...first] = run;
  execFileSync(command, [...first, ...flags, '--random-seed=1', join(tools, 'compile.cjs'), program, code], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {},
  });
  return { main, assets: { program, code } };
}

const tools = join(projectRoot, 'build/packaging');

/** qemu's program, and where Debian's cross packages have the libraries of an architecture. */
const emulators: Readonly<Record<Arch, readonly [program: string, libraries: string]>> = {
  x64: ['qemu-x86_64-static', '/usr/x86_64-linux-gnu'],
  arm64: ['qemu-aarch64-static', '/usr/aarch64-linux-gnu'],
  armv7: ['qemu-arm-static', '/usr/arm-linux-gnueabihf'],
};

/** The command line that runs it on this machine; undefined where there is none. */
export function runnerOf({ arch, path }: Pick<Runtime, 'arch' | 'path'>): readonly string[] | undefined {
  if (process.arch === arch) return [path];
  const [program, libraries] = emulators[arch];
  const isThere =
    existsSync(`${libraries}/lib/libstdc++.so.6`) && spawnSync(program, ['--version']).status === 0;
  return isThere ? [program, '-L', libraries, path] : undefined;
}
