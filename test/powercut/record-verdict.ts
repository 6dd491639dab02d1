/** What must be true of the records of what is deployed (src/deploy/deployed-record.ts) when the daemon rests. */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path/posix';
import type { RecordHeader, RecordLine } from '../../src/deploy/deployed-record.ts';
import type { Fingerprint } from '../../src/deploy/fingerprint.ts';
import { sealOf } from '../fixtures/seal-of.ts';
import type { ModelState } from './model-state.ts';
import { bytesAt, textAt, treeOf } from './model-tree.ts';
import { workDirectory } from './session.ts';

const backups = `${workDirectory}/backups`;

/**
 * The newest record is that of `version` (undefined: there is none) and tells of every file exactly what is on the disk;
 * older ones are there for a rollback, and no more than one of them leads to before the oldest.
 * `isDamaged`: somebody has changed deployed files, the record is right and the disk is not; `ownFile`: a program has
 * changed that one, as it may.
 */
export function wrongRecord(
  state: ModelState,
  version: string | undefined,
  { isDamaged, ownFile }: { readonly isDamaged: boolean; readonly ownFile: string | undefined },
): string | undefined {
  const names = [...treeOf(state, backups).keys()].map((path) => path.slice(backups.length + 1));
  const idsOf = (ending: string) =>
    names.flatMap((name) => (name.endsWith(ending) ? [name.slice(0, -ending.length)] : [])).sort();
  const [records, updates] = [idsOf('.deployed'), idsOf('.journal')];
  const spare = records.filter((id) => updates[0] === undefined || id < updates[0]);
  if (spare.length > 1) return `records nobody can come back to: ${spare.join(', ')}`;
  const newest = records.at(-1);
  if (newest === undefined) return version === undefined ? undefined : `no record of ${version}`;
  if (updates.at(-1) !== undefined && newest < (updates.at(-1) ?? '')) return 'the last update has no record';
  const text = textAt(state, `${backups}/${newest}.deployed`) ?? '';
  const [header, ...lines] = text
    .split('\n')
    .slice(0, -2)
    .map((line) => JSON.parse(line.slice(65))) as [RecordHeader?, ...RecordLine[]];
  if (header === undefined) return 'the record is empty';
  if (header.version !== version) return `the record is of ${header.version}, ${version} is deployed`;
  if (isDamaged) return undefined;
  for (const line of lines) {
    if (line.kind === 'link') {
      const wanted = `symlink 777 ${line.uid}:${line.gid} -> ${line.to}`;
      const there = treeOf(state, dirname(line.path)).get(line.path);
      if (there !== wanted) return `the record says ${wanted} of ${line.path}: ${there}`;
    }
    if (line.kind !== 'file' || line.path === ownFile) continue;
    const attributes = `file ${line.mode.toString(8)} ${line.uid}:${line.gid} `;
    const stands = treeOf(state, dirname(line.path)).get(line.path);
    if (!stands?.startsWith(attributes)) return `the record says ${attributes}of ${line.path}: ${stands}`;
    for (const [name, value] of Object.entries(line.attributes ?? {}))
      if (!stands.includes(` ${name}=${value}`))
        return `the record says ${name}=${value} of ${line.path}: ${stands}`;
    const bytes = bytesAt(state, line.path);
    if (bytes === undefined) return `the record tells of ${line.path}, which is not there`;
    if (!isOf(bytes, line)) return `the record is wrong about the content of ${line.path}`;
  }
  return undefined;
}

function isOf(bytes: Uint8Array, { sha256, seal }: Fingerprint): boolean {
  if (seal !== undefined) return sealOf(bytes, seal.key).tag === seal.tag;
  return createHash('sha256').update(bytes).digest('hex') === sha256;
}
