/**
 * Puts the bundle onto a Node binary: x64 and arm64 by `@yao-pkg/pkg` in its SEA mode, armv7, which pkg does not know
 * and whose blob no 64-bit Node can write, by our own blob and `postject`.
 *
 * Invariants: nothing is downloaded here (pkg finds its runtimes in a cache that was filled before); no path of the
 * build machine gets into the executable; the same inputs give the same bytes.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { projectRoot } from './bundle.ts';
import { compileProgram } from './code-cache.ts';
import { type Arch, cacheFolder, type Runtime } from './runtime.ts';
import { seaBlob } from './sea-blob.ts';

/**
 * What every executable runs with, so that nobody has to set it (docs/performance.md, memory). Node 20 carries no
 * flags; there src/host/memory.ts sets at start what can still be set.
 */
export const executableFlags = [
  '--lite-mode',
  '--single-threaded',
  '--v8-pool-size=0',
  '--expose-gc',
  '--max-semi-space-size=1',
  '--disable-warning=ExperimentalWarning',
] as const;

/** Writes the executable for `runtime`; `maker` is a runtime that runs on this machine, of the same version for pkg. */
export function packExecutable(runtime: Runtime, maker: Runtime, bundle: string, output: string): void {
  // A folder of its own and a rename at the end: two builds at a time do not meet, a stopped one leaves no half file.
  mkdirSync(cacheFolder, { recursive: true });
  const work = mkdtempSync(join(cacheFolder, 'work-'));
  try {
    const script = basename(bundle);
    const made = join(work, 'executable');
    copyFileSync(bundle, join(work, script));
    if (runtime.arch === 'armv7') packWithPostject(runtime, work, script, made);
    else packWithPkg(runtime.arch, runtime, maker, work, script, made);
    renameSync(made, output);
  } finally {
    rmSync(work, { recursive: true });
  }
}

const tools = join(projectRoot, 'build/packaging/node_modules');

function packWithPostject(runtime: Runtime, work: string, script: string, output: string): void {
  const blob = seaBlob({
    nodeVersion: runtime.version,
    lengthBytes: 4,
    scriptPath: script,
    script: readFileSync(join(work, script)),
    execArgv: runtime.version.startsWith('20.') ? [] : executableFlags,
  });
  writeFileSync(join(work, 'blob'), blob);
  copyFileSync(runtime.path, output);
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
  const postject = join(tools, 'postject/dist/cli.js');
  execFileSync(
    process.execPath,
    [postject, output, 'NODE_SEA_BLOB', join(work, 'blob'), '--sentinel-fuse', fuse],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
}

/** pkg needs Node 22 or newer to run, which the build machine may not have; the runtime that is packed anyway is. */
function packWithPkg(
  arch: Arch,
  runtime: Runtime,
  maker: Runtime,
  work: string,
  script: string,
  output: string,
): void {
  if (maker.version !== runtime.version)
    throw new Error(
      `${arch} is Node ${runtime.version}, but its blob must be made by the same version; ${maker.arch} is ${maker.version}`,
    );
  const home = join(work, 'home');
  for (const seeded of [runtime, maker]) seedPkgCache(home, seeded);
  const { main, assets } = compileProgram(runtime, script, executableFlags, work) ?? {
    main: script,
    assets: {},
  };
  // pkg works in a folder of random name below TMPDIR; relative to it, the path that the blob keeps is always the same.
  const above = (name: string) => `../${name}`;
  const placed = Object.fromEntries(Object.entries(assets).map(([name, file]) => [name, above(file)]));
  const request = {
    script,
    targets: [{ nodeRange: `node${runtime.version}`, platform: 'linux', arch, output }],
    seaConfig: { main: above(main), assets: placed, execArgv: executableFlags },
  };
  execFileSync(
    maker.path,
    [join(projectRoot, 'build/packaging/run-pkg.cjs'), join(tools, '@yao-pkg/pkg'), JSON.stringify(request)],
    {
      cwd: work,
      env: { ...process.env, HOME: home, TMPDIR: work },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
}

/** Lays a runtime where pkg looks before it would download one. */
function seedPkgCache(home: string, runtime: Runtime): void {
  const name = `node-v${runtime.version}-linux-${runtime.arch}`;
  const folder = join(home, '.pkg-cache/sea');
  const binary = join(folder, name, 'bin/node');
  mkdirSync(join(folder, name, 'bin'), { recursive: true });
  rmSync(binary, { force: true });
  linkSync(runtime.path, binary);
  for (const empty of [`${binary}.ok`, join(folder, `${name}.tar.gz`), join(folder, `${name}.tar.gz.ok`)])
    writeFileSync(empty, '');
}
