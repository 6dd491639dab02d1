/**
 * What goes over to each file of a plan from the one it replaces, beside bytes, mode and owner (new-attributes.ts), and what
 * does not: said before the update. Reads only. Capabilities are taken from a file alone that nobody but root and its owner
 * could have put there.
 */
import { accessList, attributesInWords, capability } from '../attribute-kinds.ts';
import { errno } from '../errors.ts';
import type { FileAttributes } from '../host/attributes.ts';
import { breathing } from '../host/breathing.ts';
import type { Attributes, FileOwner, Files, Host } from '../host/host.ts';
import { forEachInFlight } from '../host/in-flight.ts';
import { whoElse } from '../host/trust.ts';
import { limits } from '../limits.ts';
import { loadPacking, type PackedMap } from '../packed-list.ts';
import { attributesAmong } from './attributes.ts';
import { type Found, identityOf } from './findings.ts';
import { isLeftAlone, modeOf, ownerOf } from './make-plan.ts';
import { newAttributes } from './new-attributes.ts';
import { directoryOf } from './paths.ts';
import type { Recorded } from './recorded.ts';
import type { FileWant, WantedAttributes } from './want.ts';

/** All that a log has room for by name. */
const filesShown = 20;

interface Surveyed {
  readonly found: { get(path: string): (Found & { readonly identity: string }) | undefined };
  readonly self: FileOwner;
}

/** By target, of those files that are to have any. `surveyed.found` tells of all of them. Rejects with a system error. */
export async function carryAttributes(
  { files, log }: Pick<Host, 'files' | 'log'>,
  wants: Iterable<FileWant>,
  surveyed: Surveyed,
  recorded: Pick<Recorded, 'files'>,
): Promise<Pick<PackedMap<WantedAttributes>, 'get'>> {
  const wanted = (await loadPacking()).map<WantedAttributes>();
  const carrying = { ...surveyed, files, isTheirs: theirsAlone(files), wanted, left: [], bytes: 0 };
  let group: FileWant[] = [];
  const look = async (): Promise<void> => {
    const names = await attributesAmong(
      files,
      group.map(({ target }) => target),
    );
    await forEachInFlight(group, limits.filesInFlight, async (want) => {
      const has = names.get(want.target);
      if (has !== undefined || want.attributes !== undefined) await lookAt(carrying, want, has ?? []);
    });
    group = [];
  };
  for await (const want of breathing(wants)) {
    if (isReplaced(carrying, want, recorded)) group.push(want);
    if (group.length === limits.attributePaths) await look();
  }
  if (group.length > 0) await look();
  warnOf(log, carrying.left);
  return wanted;
}

interface Carrying extends Surveyed {
  readonly files: Files;
  readonly isTheirs: ReturnType<typeof theirsAlone>;
  readonly wanted: Pick<PackedMap<WantedAttributes>, 'set'>;
  /** What stays behind, in words. */
  readonly left: string[];
  /** Of all that is wanted, about. */
  bytes: number;
}

/** True where a file stands that is to be looked at. What stays as it is, and what comes where none is, is settled. */
function isReplaced(
  { found, self, wanted }: Carrying,
  want: FileWant,
  recorded: Pick<Recorded, 'files'>,
): boolean {
  const { target, link, attributes: stated } = want;
  if (link !== undefined) return false;
  const stands = found.get(target);
  if (stands?.kind !== 'file') {
    if (stated !== undefined) wanted.set(target, { values: stated, isOther: true });
    return false;
  }
  if (stated !== undefined || want.dropsAttributes === true || !isLeftAlone(want, stands, { self }))
    return true;
  const given = recorded.files.get(target)?.attributes;
  if (given !== undefined) wanted.set(target, { values: given, isOther: false });
  return false;
}

/** `names`: those that the file has, where that can be told. */
async function lookAt(carrying: Carrying, want: FileWant, names: readonly string[]): Promise<void> {
  const { files, found, wanted, left } = carrying;
  const { target } = want;
  const stands = found.get(target);
  if (stands === undefined) return;
  const stated: Attributes = want.attributes ?? {};
  const old = await readOld(files, target, stands.identity);
  if (want.dropsAttributes === true) {
    const isOther = old.isUnknown !== true && !isSame(old.values, stated);
    if (isOther || Object.keys(stated).length > 0) wanted.set(target, { values: stated, isOther });
    return;
  }
  const { values, why } = await goingOver(carrying, want, stands, old);
  for (const name of names)
    if (old.values[name] === undefined && stated[name] === undefined)
      why.set(name, 'it cannot be read, or is too long');
  carrying.bytes += JSON.stringify(values).length;
  const hasRoom = carrying.bytes <= limits.attributesBytes;
  if (!hasRoom)
    for (const name of Object.keys(values))
      if (stated[name] === undefined) why.set(name, 'there are too many');
  const isOther =
    old.isUnknown !== true && Object.entries(stated).some(([name, value]) => old.values[name] !== value);
  const given = hasRoom ? values : stated;
  if (Object.keys(given).length > 0) wanted.set(target, { values: given, isOther });
  for (const [name, reason] of why)
    left.push(`${target} has ${attributesInWords([name])}, which what replaces it will not have: ${reason}`);
}

async function goingOver(
  { isTheirs, self }: Carrying,
  want: FileWant,
  stands: Found,
  old: FileAttributes,
): Promise<{ readonly values: Attributes; readonly why: Map<string, string> }> {
  const stated: Attributes = want.attributes ?? {};
  const to = { mode: modeOf(want, stands), ...ownerOf(want, stands, self) };
  const { values, left } = newAttributes({ values: old.values, dress: stands }, stated, to);
  const why = new Map(left);
  const isCarried = values[capability] !== undefined && stated[capability] === undefined;
  const stranger = isCarried ? await isTheirs(want.target, stands.uid) : undefined;
  if (stranger === undefined) return { values, why };
  why.set(capability, `somebody else may have put it there, ${stranger}`);
  const { [capability]: _, ...others } = values;
  return { values: others, why };
}

function warnOf(log: Host['log'], left: readonly string[]): void {
  const more = left.length > filesShown ? ` (and ${left.length - filesShown} more)` : '';
  for (const text of left.slice(0, filesShown)) log.warn(`${text}${more}`);
}

/** Nothing where it is not the file that was found, or cannot be read. */
async function readOld(files: Files, path: string, identity: string): Promise<FileAttributes> {
  const nothing = { values: {}, beyond: [] };
  try {
    const file = await files.open(path, 'read');
    try {
      const stat = await file.stat();
      return stat.kind === 'file' && identityOf(stat) === identity ? await file.attributes() : nothing;
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    return nothing;
  }
}

/** Who but root and `uid` could exchange what is at a path, in words; undefined: nobody. Each directory is asked once. */
function theirsAlone(files: Files): (path: string, uid: number) => Promise<string | undefined> {
  const known = new Map<string, string | undefined>();
  const ask = async (directory: string, uid: number, isItsOwn = false): Promise<string | undefined> => {
    const key = `${uid} ${isItsOwn} ${directory}`;
    if (known.has(key)) return known.get(key);
    const stat = await files.stat(directory);
    const names = (await files.attributeNames([directory])).get(directory) ?? [];
    const fault =
      stat === undefined
        ? 'is gone'
        : (whoElse(stat.uid === uid ? { ...stat, uid: 0 } : stat, isItsOwn) ??
          (names.includes(accessList) ? 'has an access list (ACL)' : undefined));
    const above = directory === '/' ? undefined : await ask(directoryOf(directory), uid);
    const text = fault === undefined ? above : `${directory} ${fault}`;
    known.set(key, text);
    return text;
  };
  return (path, uid) => ask(directoryOf(path), uid, true);
}

function isSame(a: Attributes, b: Attributes): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
