/**
 * The manifest of a package (`manifest.json`): its schema and its strict reading. Pure. Spec section 4.
 *
 * The schema is the one source for the daemon, the packer and the documentation. Nothing is coerced: a number in
 * quotes is an error. Keys the schema does not know are warned about and dropped. What needs the list of files in the
 * ZIP is checked in release.ts.
 */
import * as v from 'valibot';
import { UpdateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { VersionSchema } from '../version.ts';
import { isPrintable, pathFault, printable } from './path-fault.ts';
import { parseStrictJson } from './strict-json.ts';

const Text = (longest: number) =>
  v.pipe(
    v.string(),
    v.minLength(1, 'must not be empty'),
    v.maxLength(longest, `must not be longer than ${longest} characters`),
    v.check(isPrintable, 'must not have control or unprintable characters'),
  );

/** A place in the ZIP: components joined by "/"; one "/" at the end says that a directory is meant. */
const SourcePath = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    const fault = dataset.typed ? pathFault(withoutSlash(dataset.value)) : undefined;
    if (fault !== undefined) addIssue({ message: `must be a relative path; it ${fault}` });
  }),
);

/** A place on the device: absolute, in its shortest form; one "/" at the end says that a directory is meant. */
const TargetPath = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const path = dataset.value;
    const fault = path.startsWith('/') ? pathFault(withoutSlash(path.slice(1))) : 'is relative';
    if (fault !== undefined) addIssue({ message: `must be an absolute path; it ${fault}` });
    else if (Buffer.byteLength(path) > limits.pathBytes)
      addIssue({ message: `must not be longer than ${limits.pathBytes} bytes` });
  }),
);

const Digest = (digits: number) =>
  v.pipe(
    v.string(),
    v.regex(new RegExp(`^[0-9a-fA-F]{${digits}}$`), `must be ${digits} hexadecimal digits`),
    v.toLowerCase(),
  );

const SizeBytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0, 'must not be negative'));

/** Permission bits in octal, as chmod(1) takes them. */
const Mode = v.pipe(
  v.string(),
  v.regex(/^[0-7]{3,4}$/, 'must be permission bits in octal such as "0755"'),
  v.transform((digits) => Number.parseInt(digits, 8)),
);

const Argv = v.pipe(
  v.array(Text(4096)),
  v.minLength(1, 'must name a program'),
  v.maxLength(64, 'must not have more than 64 arguments'),
  v.check((argv) => argv[0]?.startsWith('/') === true, 'must start with the absolute path of a program'),
);

const HealthSchema = v.pipe(
  v.object({
    http: v.optional(
      v.pipe(v.string(), v.maxLength(2048), v.url(), v.regex(/^https?:\/\//, 'must be an http or https URL')),
    ),
    tcp: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535))),
    exec: v.optional(Argv),
    timeout_s: v.optional(v.pipe(v.number(), v.minValue(0.1), v.maxValue(600))),
  }),
  v.check(
    ({ http, tcp, exec }) => [http, tcp, exec].filter((kind) => kind !== undefined).length === 1,
    'must have exactly one of "http", "tcp" and "exec"',
  ),
);

const ModuleSchema = v.object({
  /** Becomes part of a backup's file name. */
  name: v.pipe(
    v.string(),
    v.regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      'must be 1 to 64 letters, digits, ".", "_" or "-", the first a letter or digit',
    ),
  ),
  src: SourcePath,
  dst: TargetPath,
  process_name: v.optional(Text(255)),
  restart_order: v.optional(v.pipe(v.number(), v.safeInteger())),
  /** Size and digests of a single file; those of a tree are listed under `files` at the root. */
  size: v.optional(SizeBytes),
  md5: v.optional(Digest(32)),
  sha256: v.optional(Digest(64)),
  mode: v.optional(Mode),
  owner: v.optional(
    v.pipe(
      v.string(),
      v.regex(
        /^(?:[A-Za-z_][A-Za-z0-9_.-]{0,31}|\d{1,9})(?::(?:[A-Za-z_][A-Za-z0-9_.-]{0,31}|\d{1,9}))?$/,
        'must be "user", "user:group" or their numbers',
      ),
    ),
  ),
  /** Never starts with "-": it becomes an argument of systemctl. */
  service: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,254}$/, 'must be the name of a systemd unit'),
    ),
  ),
  start: v.optional(Argv),
  health: v.optional(HealthSchema),
});

/** Size, SHA-256 and mode of one file of the package, so that a signature of the manifest covers every file. */
const FileSchema = v.object({
  path: SourcePath,
  size: SizeBytes,
  sha256: Digest(64),
  mode: v.optional(Mode),
});

export const ManifestSchema = v.object({
  version: VersionSchema,
  modules: v.pipe(
    v.array(ModuleSchema),
    v.minLength(1, 'must name at least one module'),
    v.maxLength(limits.modules, `must not name more than ${limits.modules} modules`),
  ),
  files: v.optional(
    v.pipe(
      v.array(FileSchema),
      v.maxLength(limits.archiveEntries, `must not list more than ${limits.archiveEntries} files`),
    ),
  ),
  compatible: v.optional(
    v.pipe(v.array(Text(128)), v.minLength(1, 'must name a device type'), v.maxLength(256)),
  ),
  min_version: v.optional(VersionSchema),
  reboot: v.optional(v.boolean()),
});

export type Manifest = v.InferOutput<typeof ManifestSchema>;
export type ManifestModule = Manifest['modules'][number];

/**
 * Reads a manifest. `warnings` name the keys that are ignored, ready for a log.
 * Throws INVALID_MANIFEST naming the field and what is wrong with it.
 */
export function parseManifest(bytes: Uint8Array): { manifest: Manifest; warnings: string[] } {
  if (bytes.length > limits.manifestBytes)
    throw invalidManifest(`${bytes.length} bytes, more than ${limits.manifestBytes}`);
  const raw = parseJson(bytes);
  const parsed = v.safeParse(ManifestSchema, raw, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const field = fieldName(issue.path?.map((step) => step.key) ?? []);
    throw invalidManifest(`${field}${printable(issue.message)}`);
  }
  return { manifest: parsed.output, warnings: unknownKeys(raw) };
}

/** A path of the manifest without the "/" that may end a directory. */
export function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
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
  return [...places.values()];
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, key)?.value
    : undefined;
}
