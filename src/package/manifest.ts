/** The strict reading of a package's `manifest.json`. Pure. Spec section 4. Keys that the schema does not know are warned about and dropped. */
import * as v from 'valibot';
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { checkRequires } from './features.ts';
import { type Manifest, ManifestSchema } from './manifest-schema.ts';
import { withModuleName } from './module-names.ts';
import { printable } from './path-fault.ts';
import { parseStrictJson } from './strict-json.ts';
import { unknownKeys } from './unknown-keys.ts';

/** Reads a manifest. `warnings`: keys that are ignored. Throws INVALID_MANIFEST naming the field, INCOMPATIBLE for what it requires. */
export function parseManifest(bytes: Uint8Array): { manifest: Manifest; warnings: string[] } {
  const raw = manifestJson(bytes);
  checkRequires(raw);
  const parsed = v.safeParse(ManifestSchema, raw, { abortEarly: true });
  if (!parsed.success) throw invalidManifest(withModuleName(issueText(parsed.issues[0]), modulesOf(raw)));
  const warnings = unknownKeys(raw).map(
    ({ place, key }) => `manifest.json: unknown key ${printable(`${place}${key}`)} is ignored`,
  );
  return { manifest: parsed.output, warnings };
}

/** INVALID_MANIFEST; `fault` names the field first. */
export class ManifestError extends UpdateError {
  readonly fault: string;

  constructor(fault: string, cause?: unknown) {
    super('INVALID_MANIFEST', `manifest.json: ${fault}`, { cause });
    this.fault = fault;
  }
}

/** An error about the manifest; `text` names the field first. */
export function invalidManifest(text: string, cause?: unknown): ManifestError {
  return new ManifestError(text, cause);
}

/** Its JSON, as yet unchecked. Throws INVALID_MANIFEST. */
export function manifestJson(bytes: Uint8Array): unknown {
  if (bytes.length > limits.manifestBytes)
    throw invalidManifest(`${bytes.length} bytes, more than ${limits.manifestBytes}`);
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

/** As they stand in a manifest that is not checked yet. */
export function modulesOf(raw: unknown): unknown {
  return typeof raw === 'object' && raw !== null && 'modules' in raw ? raw.modules : undefined;
}

/** What the schema found: the field, `modules[0].dst: ` or nothing for the root, and what is wrong with it. */
export function issueText({ path, message, kind, received }: v.BaseIssue<unknown>): string {
  const keys = (path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('');
  const field = keys === '' ? '' : `${printable(keys.replace(/^\./, ''))}: `;
  return `${field}${kind === 'schema' && received === 'undefined' ? 'is missing' : printable(message)}`;
}
