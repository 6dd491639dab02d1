/** The keys of a manifest that its schema does not know. Pure. */
import { FileSchema, HealthSchema, LinkSchema, ManifestSchema, ModuleSchema } from './manifest-schema.ts';

export interface UnknownKey {
  /** Of the object that has it, with the "." before the key: `modules[0].`; empty: the root. */
  readonly place: string;
  readonly key: string;
  /** Those that may stand there. */
  readonly known: readonly string[];
}

/** Such keys are for whoever writes manifests, and never ours. */
const free = /^x-/;

/** A key is told once for each kind of object, and twenty in all: a manifest may list thousands of files. */
export function unknownKeys(raw: unknown): UnknownKey[] {
  const found = new Map<string, UnknownKey>();
  const look = (value: unknown, place: string, kind: string, known: object) => {
    if (typeof value !== 'object' || value === null) return;
    for (const key of Object.keys(value)) {
      if (Object.hasOwn(known, key) || free.test(key) || found.has(`${kind}.${key}`) || found.size >= 20)
        continue;
      found.set(`${kind}.${key}`, { place, key, known: Object.keys(known) });
    }
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
  return [...found.values()];
}

function list(value: unknown, key: string): unknown[] {
  const found = field(value, key);
  return Array.isArray(found) ? found : [];
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, key)?.value
    : undefined;
}
