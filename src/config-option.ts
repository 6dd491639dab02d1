/** What an option of the configuration is made of: its form, and the checks that several share. Pure. */
import * as v from 'valibot';

/** How a flag is written: `switch` takes no value, `list` may be repeated. */
export type OptionKind = 'text' | 'number' | 'switch' | 'list';

export interface Option<Schema extends v.GenericSchema = v.GenericSchema> {
  readonly flag: string;
  readonly kind: OptionKind;
  /** Name of the value in the help text. */
  readonly argument: string;
  readonly schema: Schema;
  /** Undefined: the option may be left out. */
  readonly initial: v.InferOutput<Schema> | undefined;
  readonly doc: string;
}

export const text = v.pipe(
  v.string('must be a string'),
  v.minLength(1, 'must not be empty'),
  v.check((value) => !value.includes('\0'), 'must not hold NUL'),
);
export const absolutePath = v.pipe(
  text,
  v.startsWith('/', 'must be an absolute path'),
  v.check((path) => !path.split('/').includes('..'), 'must not hold ".."'),
  v.transform((path) => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1')),
);
export const httpUrl = v.pipe(
  text,
  v.url('must be a URL'),
  v.regex(/^https?:/i, 'must be an http or https URL'),
  v.check((url) => new URL(url).port !== '0', 'must not name port 0'),
);
export function wholeNumber(least: number, most: number, message: string) {
  return v.pipe(v.number(message), v.integer(message), v.minValue(least, message), v.maxValue(most, message));
}

/** `usage`: flag and argument as they are written, `port PORT`. */
export function option<const Schema extends v.GenericSchema>(
  usage: string,
  schema: Schema,
  initial: v.InferOutput<Schema>,
  doc: string,
  kind: OptionKind = 'text',
) {
  return { ...named(usage), kind, schema, initial, doc };
}

/** One that may be left out. */
export function optional<const Schema extends v.GenericSchema>(
  usage: string,
  schema: Schema,
  doc: string,
  kind: OptionKind = 'text',
) {
  return { ...named(usage), kind, schema, initial: undefined, doc };
}

/** A switch. One that is on by itself is named by the flag that turns it off. */
export function toggle(flag: string, initial: boolean, doc: string) {
  return option(flag, v.boolean('must be true or false'), initial, doc, 'switch');
}

function named(usage: string): { flag: string; argument: string } {
  const [flag = '', argument = ''] = usage.split(' ');
  return { flag, argument };
}
