/** Reading single flags of an invocation; the parser has made sure of their kind. */
import { type Flags, UsageError } from '../config.ts';

export function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  if (value === '') throw new UsageError(`--${name}: must not be empty`);
  return typeof value === 'string' ? value : undefined;
}

export function listFlag(flags: Flags, name: string): readonly string[] {
  const value = flags[name];
  return Array.isArray(value) ? value : [];
}

export function isSet(flags: Flags, name: string): boolean {
  return flags[name] === true;
}
