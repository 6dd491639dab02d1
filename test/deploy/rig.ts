/** A temporary device: targets, work directory and a host whose services are imaginary, for tests on the real disk. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { realFiles } from '../../src/host/files.ts';
import type { Files, Log } from '../../src/host/host.ts';

export interface Device {
  readonly root: string;
  readonly targets: string;
  readonly backups: string;
  readonly host: { files: Files; log: Log };
  readonly logged: string[];
  /** Writes a file below the root, with all directories above it. */
  put(path: string, content: string, mode?: number): string;
  /** Every name below `path` with kind, mode and content, as text. */
  snapshot(path?: string): string[];
  remove(): void;
}

export function device(files: Files = realFiles(), base = tmpdir()): Device {
  const root = mkdtempSync(join(base, 'tope-device-'));
  const logged: string[] = [];
  const log = (level: string) => (message: string) => void logged.push(`${level} ${message}`);
  for (const name of ['targets', 'work', 'work/backups', 'work/tmp']) mkdirSync(join(root, name));
  return {
    root,
    targets: join(root, 'targets'),
    backups: join(root, 'work/backups'),
    host: { files, log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') } },
    logged,
    put: (path, content, mode = 0o644) => {
      const full = join(root, path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content);
      chmodSync(full, mode);
      return full;
    },
    snapshot: (path = 'targets') => snapshotOf(join(root, path), root),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function snapshotOf(path: string, root: string): string[] {
  const stat = lstatSync(path);
  const name = relative(root, path);
  const mode = (stat.mode & 0o7777).toString(8);
  if (stat.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
  if (stat.isFile()) return [`${name} ${mode} ${readFileSync(path, 'utf8')}`];
  if (!stat.isDirectory()) return [`${name} special`];
  const below = readdirSync(path)
    .sort()
    .flatMap((child) => snapshotOf(join(path, child), root));
  return [`${name}/ ${mode}`, ...below];
}
