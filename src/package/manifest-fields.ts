/** The values of a manifest's keys: paths, digests, modes, command lines, patterns. Pure. Spec sections 4 and 10. */
import * as v from 'valibot';
import { capabilitiesValue } from '../capabilities.ts';
import { patternFault } from '../glob.ts';
import { limits } from '../limits.ts';
import type { Notes } from '../notes.ts';
import { isPrintable, pathFault } from './path-fault.ts';

export const Text = (longest: number) =>
  v.pipe(
    v.string(),
    v.minLength(1, 'must not be empty'),
    v.maxLength(longest, `must not be longer than ${longest} characters`),
    v.check(isPrintable, 'must not have control or unprintable characters'),
  );

const NotesText = v.pipe(
  v.string(),
  v.minLength(1, 'must not be empty'),
  v.check(
    (text) => isPrintable(text.replaceAll('\n', '')),
    'must be plain text: line ends, but no other control or unprintable characters',
  ),
);

/** Release notes: a text, or texts by language. */
export const ReleaseNotes = v.pipe(
  v.lazy((input): v.GenericSchema<unknown, Notes> => {
    if (typeof input === 'string') return NotesText;
    return v.pipe(
      v.record(
        v.pipe(v.string(), v.regex(/^[a-z]{2,3}$/, 'must be a language such as "en" or "zh"')),
        NotesText,
      ),
      v.check((texts) => Object.keys(texts).length > 0, 'must have a language'),
    );
  }),
  v.check(
    (notes) => Buffer.byteLength(JSON.stringify(notes)) <= limits.notesBytes,
    `must not be longer than ${limits.notesBytes} bytes`,
  ),
);

/** A place in the ZIP: components joined by "/"; one "/" at the end says that a directory is meant. */
export const SourcePath = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    const fault = dataset.typed ? pathFault(withoutSlash(dataset.value)) : undefined;
    if (fault !== undefined) addIssue({ message: `must be a relative path; it ${fault}` });
  }),
);

/** A place on the device: absolute, in its shortest form; one "/" at the end says that a directory is meant. */
export const TargetPath = v.pipe(
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

export const Digest = (digits: number) =>
  v.pipe(
    v.string(),
    v.regex(new RegExp(`^[0-9a-fA-F]{${digits}}$`), `must be ${digits} hexadecimal digits`),
    v.toLowerCase(),
  );

export const SizeBytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0, 'must not be negative'));

/** Permission bits in octal, as chmod(1) takes them. */
export const Mode = v.pipe(
  v.string('must be text such as "0755", not a number'),
  v.regex(/^[0-7]{3,4}$/, 'must be permission bits in octal such as "0755"'),
  v.transform((digits) => Number.parseInt(digits, 8)),
);

export const Argv = v.pipe(
  v.array(Text(4096)),
  v.minLength(1, 'must name a program'),
  v.maxLength(64, 'must not have more than 64 arguments'),
  v.check((argv) => argv[0]?.startsWith('/') === true, 'must start with the absolute path of a program'),
);

/** A command: its arguments, or a text for the shell. */
export const ShellText = v.pipe(
  Text(4096),
  v.transform((text): string[] => ['/bin/sh', '-c', text]),
);
export const CommandLine = v.lazy((input) => (typeof input === 'string' ? ShellText : Argv));

/** A pattern of glob.ts over paths below a module's `dst`. */
const Pattern = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const fault = pathFault(withoutSlash(dataset.value)) ?? patternFault(dataset.value);
    if (fault !== undefined) addIssue({ message: `must be a pattern below dst; it ${fault}` });
  }),
);

export const Patterns = v.pipe(
  v.array(Pattern),
  v.minLength(1, 'must have a pattern'),
  v.maxLength(limits.modulePatterns, `must not have more than ${limits.modulePatterns} patterns`),
);

/** Capabilities as setcap(8) takes them; becomes their value, see capabilities.ts. */
const Capabilities = v.pipe(
  Text(1024),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const made = capabilitiesValue(dataset.value);
    if ('value' in made) return made.value;
    addIssue({ message: `must be capabilities such as "cap_net_raw+ep"; it ${made.fault}` });
    return NEVER;
  }),
);

/** Of a file, or of a tree's files by pattern. */
export const FileCapabilities = v.lazy((input) =>
  typeof input === 'string'
    ? Capabilities
    : v.pipe(
        v.record(Pattern, Capabilities),
        v.check((byPattern) => Object.keys(byPattern).length > 0, 'must have a pattern'),
        v.check(
          (byPattern) => Object.keys(byPattern).length <= limits.modulePatterns,
          `must not have more than ${limits.modulePatterns} patterns`,
        ),
      ),
);

/** A path of the manifest without the "/" that may end a directory. */
export function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
