/** Reading single flags of an invocation; the parser has made sure of their kind. */
import * as v from 'valibot';
import { type Flags, UsageError } from '../config.ts';
import { VersionSchema } from '../version.ts';

export function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  if (value === '') throw new UsageError(`--${name}: must not be empty`);
  return typeof value === 'string' ? value : undefined;
}

/** A digest in hexadecimal, in lower case. */
export function digestFlag(flags: Flags, name: 'md5' | 'sha256'): string | undefined {
  const digest = textFlag(flags, name)?.toLowerCase();
  const digits = name === 'md5' ? 32 : 64;
  if (digest === undefined || new RegExp(`^[0-9a-f]{${digits}}$`).test(digest)) return digest;
  throw new UsageError(`--${name}: must be ${digits} hexadecimal digits, not "${digest}"`);
}

/** `what`: the flag or operand that it comes from, for the error. */
export function checkedVersion(version: string | undefined, what: string): string | undefined {
  if (version === undefined) return undefined;
  const result = v.safeParse(VersionSchema, version);
  if (result.success) return version;
  throw new UsageError(`${what}: ${result.issues[0].message}, not "${version}"`);
}

export function listFlag(flags: Flags, name: string): readonly string[] {
  const value = flags[name];
  return Array.isArray(value) ? value : [];
}

export function isSet(flags: Flags, name: string): boolean {
  return flags[name] === true;
}
