/** The strict reading of a package's `manifest.json`. Pure. Spec section 4. Keys that the schema does not know are warned about and dropped. */
import * as v from 'valibot';
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { checkRequires } from './features.ts';
import {
  FileSchema,
  HealthSchema,
  LinkSchema,
  type Manifest,
  ManifestSchema,
  ModuleSchema,
} from './manifest-schema.ts';
import { printable } from './path-fault.ts';
import { parseStrictJson } from './strict-json.ts';

/** Reads a manifest. `warnings`: keys that are ignored. Throws INVALID_MANIFEST naming the field, INCOMPATIBLE for what it requires. */
export function parseManifest(bytes: Uint8Array): { manifest: Manifest; warnings: string[] } {
  if (bytes.length > limits.manifestBytes)
    throw invalidManifest(`${bytes.length} bytes, more than ${limits.manifestBytes}`);
  const raw = parseJson(bytes);
  checkRequires(raw);
  const parsed = v.safeParse(ManifestSchema, raw, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const field = fieldName(issue.path?.map((step) => step.key) ?? []);
    throw invalidManifest(`${field}${printable(issue.message)}`);
  }
  return { manifest: parsed.output, warnings: unknownKeys(raw) };
}

/** An error about the manifest; `text` names the field first. */
export function invalidManifest(text: string, cause?: unknown): UpdateError {
  return new UpdateError('INVALID_MANIFEST', `manifest.json: ${text}`, { cause });
}

function parseJson(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString('utf8');
  // What does not encode back to the same bytes was not UTF-8: decoding has put a replacement character in.
  if (!Buffer.from(text).equals(buffer)) throw invalidManifest('not valid UTF-8');
  try {
    return parseStrictJson(text);
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
    throw invalidManifest(`not valid JSON: ${printable(thrown.message)}`, thrown);
  }
}

/** `modules[0].dst: `, or nothing for the root. */
function fieldName(path: readonly unknown[]): string {
  const name = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return name === '' ? '' : `${printable(name.replace(/^\./, ''))}: `;
}

/** One warning for each kind of unknown key, however often it comes: a manifest may list thousands of files. */
function unknownKeys(raw: unknown): string[] {
  const places = new Map<string, string>();
  const look = (value: unknown, where: string, kind: string, known: object) => {
    if (typeof value !== 'object' || value === null) return;
    for (const key of Object.keys(value)) {
      if (Object.hasOwn(known, key) || places.has(`${kind}.${key}`) || places.size >= 20) continue;
      places.set(`${kind}.${key}`, `manifest.json: unknown key ${printable(`${where}${key}`)} is ignored`);
    }
  };
  const list = (value: unknown, key: string): unknown[] => {
    const found = field(value, key);
    return Array.isArray(found) ? found : [];
  };
  look(raw, '', '', ManifestSchema.entries);
  list(raw, 'modules').forEach((module, index) => {
    look(module, `modules[${index}].`, 'module', ModuleSchema.entries);
    look(field(module, 'health'), `modules[${index}].health.`, 'health', HealthSchema.entries);
  });
  list(raw, 'files').forEach((file, index) => {
    look(file, `files[${index}].`, 'file', FileSchema.entries);
  });
  list(raw, 'links').forEach((link, index) => {
    look(link, `links[${index}].`, 'link', LinkSchema.entries);
  });
  return [...places.values()];
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, key)?.value
    : undefined;
}
