/**
 * The device of the demo, a 3D printer in a scratch folder: two services that answer their version over HTTP, and a
 * folder of models. Also the package that brings all of it to a new version.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { contentBytes, type PackageSpec } from '../fixtures/package-builder.ts';
import { httpService, runningServices, startService } from '../fixtures/service-programs.ts';
import { freePort, until } from '../integration/daemon.ts';

export interface FileFacts {
  readonly md5: string;
  readonly mode: string;
  readonly sizeBytes: number;
}

export interface Printer {
  readonly folder: string;
  /** Where its programs lie, and packages may write. */
  readonly root: string;
  /** Updater's work directory, and the folder the package store serves. */
  readonly work: string;
  readonly shelf: string;
  packageOf(version: string): PackageSpec;
  /** What each service answers when asked, right now: name -> text. */
  answers(): Promise<Record<string, string>>;
  /** Process ids of the services, in the order they were started. */
  pids(): number[];
  files(): Record<string, FileFacts>;
  /** Ends the services and removes the folder. */
  remove(): void;
}

const services = ['motion', 'panel'] as const;
const MB = 1024 * 1024;

export async function makePrinter(version: string): Promise<Printer> {
  const folder = mkdtempSync(join(tmpdir(), 'tope-demo-'));
  const [root, work, shelf] = [join(folder, 'opt'), join(folder, 'work'), join(folder, 'shelf')];
  for (const path of [root, work, shelf, join(root, 'models')]) mkdirSync(path);
  const eventsFile = join(folder, 'events');
  writeFileSync(eventsFile, '');
  // Unique on this machine, so that the updater finds these processes and no others.
  const tag = basename(folder).slice(-6);
  const parts = await Promise.all(
    services.map(async (name) => {
      const processName = `${name}-${tag}`;
      return { name, processName, program: join(root, name, processName), port: await freePort() };
    }),
  );
  const textOf = (part: (typeof parts)[number], ofVersion: string) =>
    httpService({ name: part.processName, version: ofVersion, eventsFile }, part.port);

  for (const part of parts) {
    mkdirSync(join(root, part.name));
    writeFileSync(part.program, textOf(part, version));
    chmodSync(part.program, 0o755);
    startService(part.program);
  }
  writeFileSync(join(root, 'models/bed-level.bin'), contentBytes({ random: 2 * MB, seed: 1 }), {
    mode: 0o640,
  });
  writeFileSync(join(root, 'models/retired.bin'), 'a model that the new version has no use for\n');
  await until('the services run', () => runningServices(eventsFile).length === parts.length);

  return {
    folder,
    root,
    work,
    shelf,
    packageOf: (newVersion) => ({
      version: newVersion,
      modules: [
        ...parts.map(({ name, program, processName, port }, index) => ({
          name,
          src: `programs/${name}`,
          dst: program,
          process_name: processName,
          restart_order: index + 1,
          health: { http: `http://127.0.0.1:${port}/`, timeout_s: 10 },
        })),
        // exact: what a hand put there goes as well.
        { name: 'models', src: 'models', dst: join(root, 'models'), exact: true },
      ],
      files: {
        ...Object.fromEntries(
          parts.map((part) => [`programs/${part.name}`, { content: textOf(part, newVersion), mode: 0o755 }]),
        ),
        // Another one in each version; the large one stays.
        'models/bed-level.bin': {
          content: { random: 6 * MB, seed: Number(newVersion.replaceAll('.', '')) },
          compress: false,
        },
        'models/first-layer.bin': { content: { random: 24 * MB, seed: 3 }, compress: false },
      },
    }),
    answers: async () =>
      Object.fromEntries(
        await Promise.all(
          parts.map(async ({ name, port, processName }) => {
            const text = await ask(port);
            return [name, text.replace(`${processName} `, '').trim()] as const;
          }),
        ),
      ),
    pids: () => runningServices(eventsFile).map(({ pid }) => pid),
    files: () => filesBelow(root, tag),
    remove: () => {
      for (const { pid } of runningServices(eventsFile)) process.kill(pid, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function ask(port: number): Promise<string> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5_000) });
    return await response.text();
  } catch (thrown) {
    return `no answer: ${thrown instanceof Error ? thrown.message : thrown}`;
  }
}

/** Names as a reader expects them, without the tag that keeps them apart from others. */
function filesBelow(root: string, tag: string): Record<string, FileFacts> {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  const files = paths.filter((path) => statSync(join(root, path)).isFile());
  return Object.fromEntries(
    files.map((path) => {
      const { mode, size } = statSync(join(root, path));
      const md5 = createHash('md5')
        .update(readFileSync(join(root, path)))
        .digest('hex');
      const facts = { md5, mode: (mode & 0o7777).toString(8).padStart(4, '0'), sizeBytes: size };
      return [path.replace(`-${tag}`, ''), facts];
    }),
  );
}
