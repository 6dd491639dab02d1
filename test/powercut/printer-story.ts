/**
 * The story of the printer (test/fixtures/printer): 1.0, 1.1, 1.2 that is bad and undone, 1.3, and two rollbacks; its user makes, edits
 * and removes files after each step. What may be found at each moment is told while it is played.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { PackageRequest } from '../../src/download/request.ts';
import { buildPackage } from '../fixtures/package-builder.ts';
import {
  type Printer,
  type PrinterVersion,
  printerPackage,
  printerVersions,
} from '../fixtures/printer/releases.ts';
import { sit, sittings } from '../fixtures/printer/user.ts';
import type { Daemon } from './daemon.ts';
import type { Standing } from './printer-files.ts';

/** What may be found: one of the versions as a whole, and the user's files after one of the counts of sittings, each by itself. */
export interface Moment {
  readonly step: string;
  readonly versions: readonly Standing[];
  /** The same before services start, where it differs: a bad version is undone after that. */
  readonly atBoot?: readonly Standing[];
  readonly sittings: readonly number[];
}

export interface Told {
  /** From here on this may be found. */
  moment(moment: Moment): void;
  /** A step has ended, and everything rests. */
  rested(moment: Moment): Promise<void>;
}

export interface PackageServer {
  readonly requests: ReadonlyMap<PrinterVersion, PackageRequest>;
  close(): void;
}

type Step =
  | { readonly kind: 'install'; readonly version: PrinterVersion; readonly isBad?: true }
  | { readonly kind: 'rollback'; readonly to: PrinterVersion }
  | { readonly kind: 'sitting' };

const story: readonly Step[] = [
  { kind: 'install', version: '1.0.0' },
  { kind: 'sitting' },
  { kind: 'install', version: '1.1.0' },
  { kind: 'sitting' },
  { kind: 'install', version: '1.2.0', isBad: true },
  { kind: 'sitting' },
  { kind: 'install', version: '1.3.0' },
  { kind: 'sitting' },
  { kind: 'rollback', to: '1.1.0' },
  { kind: 'sitting' },
  { kind: 'rollback', to: '1.0.0' },
];

export const beginning: Moment = { step: 'factory', versions: ['factory'], sittings: [0] };

/** Plays it on a daemon at rest. Rejects where a step does not end as it must. */
export async function playStory(
  printer: Printer,
  daemon: Daemon,
  { requests }: PackageServer,
  told: Told,
): Promise<void> {
  let standing: Standing = 'factory';
  let sat = 0;
  for (const step of story) {
    const name =
      step.kind === 'install'
        ? step.version
        : step.kind === 'rollback'
          ? `rollback to ${step.to}`
          : `sitting ${sat + 1}`;
    if (step.kind === 'sitting') {
      const sitting = sittings[sat];
      if (sitting === undefined) throw new Error(`there is no sitting ${sat}`);
      told.moment({ step: name, versions: [standing], sittings: [sat, sat + 1] });
      await sit(printer, sitting);
      sat += 1;
    } else {
      const after: Standing = step.kind === 'rollback' ? step.to : step.isBad ? standing : step.version;
      if (step.kind === 'install') {
        told.moment({ step: `download of ${name}`, versions: [standing], sittings: [sat] });
        await ask(daemon, 'download', requests.get(step.version), 'toInstall');
      }
      const atBoot = step.kind === 'install' && step.isBad ? [standing, step.version] : undefined;
      told.moment({ step: name, versions: [standing, after], sittings: [sat], ...(atBoot && { atBoot }) });
      const [path, body] = step.kind === 'install' ? ['update', { version: step.version }] : ['rollback', {}];
      await ask(daemon, path, body, step.kind === 'install' && step.isBad ? 'failed' : 'success');
      standing = after;
    }
    const moment = { step: `after ${name}`, versions: [standing], sittings: [sat] };
    told.moment(moment);
    await told.rested(moment);
  }
}

/** Rejects where it is refused or does not end as `wanted`. */
export async function ask(
  daemon: Daemon,
  path: string,
  body: object | undefined,
  wanted: string,
): Promise<void> {
  const reply = (await daemon.post(`/api/v1.0/${path}`, body ?? {})) as { code: number; msg: string };
  if (reply.code !== 200) throw new Error(`${path} ${JSON.stringify(body)}: ${reply.msg}`);
  const stage = await daemon.rest(120_000);
  if (stage !== wanted)
    throw new Error(`${path} ${JSON.stringify(body)} ended as ${stage}, not ${wanted}:\n${daemon.output()}`);
}

/** Builds the packages of all versions into `folder` and serves them on loopback. */
export async function servePackages(printer: Printer, folder: string): Promise<PackageServer> {
  const contents = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const content = contents.get(request.url ?? '') ?? Buffer.alloc(0);
    response.writeHead(200, { 'content-length': content.length, etag: `"${request.url}"` });
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a server without a port');
  const requests = new Map<PrinterVersion, PackageRequest>();
  for (const version of printerVersions) {
    const name = `printer-${version}.zip`;
    const built = await buildPackage(printerPackage(printer, version), join(folder, name));
    contents.set(`/${name}`, await readFile(built.path));
    requests.set(version, {
      version,
      package_url: `http://127.0.0.1:${address.port}/${name}`,
      package_name: name,
      package_size: built.sizeBytes,
      package_md5: built.md5,
    });
  }
  return { requests, close: () => void server.close() };
}
