/**
 * The schema of `manifest.json`, for daemon, packer and documentation (spec sections 4 and 10). Pure. Nothing is coerced. Which
 * keys exclude each other, and what needs the ZIP, is checked in release.ts.
 */
import * as v from 'valibot';
import { limits } from '../limits.ts';
import { VersionSchema } from '../version.ts';
import {
  Argv,
  CommandLine,
  Digest,
  FileCapabilities,
  Mode,
  Patterns,
  ReleaseNotes,
  ShellText,
  SizeBytes,
  SourcePath,
  TargetPath,
  Text,
} from './manifest-fields.ts';

export const HealthSchema = v.pipe(
  v.object({
    http: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(2048),
        v.url(),
        v.regex(/^https?:\/\//, 'must be an http or https URL'),
        v.check((url) => new URL(url).port !== '0', 'must not name port 0'),
      ),
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

const commands = <Schema extends v.GenericSchema<unknown, string[]>>(command: Schema) =>
  v.pipe(
    v.array(command),
    v.maxLength(limits.moduleCommands, `must not have more than ${limits.moduleCommands} commands`),
  );

/** Patches of the package that make the file of an older one (`from`: its SHA-256); a download makes use of them (download/deltas.ts). */
const DeltasSchema = v.pipe(
  v.array(v.object({ from: Digest(64), entry: SourcePath })),
  v.maxLength(limits.deltasOfFile, `must not name more than ${limits.deltasOfFile} patches`),
);

/** Becomes part of a backup's file name. */
const ModuleName = v.pipe(
  v.string(),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'must be 1 to 64 letters, digits, ".", "_" or "-", the first a letter or digit',
  ),
);

export const ModuleSchema = v.object({
  name: ModuleName,
  src: SourcePath,
  /** Left out where the module is the updater itself: the device knows its place. */
  dst: v.optional(TargetPath),
  /** The updater itself: `src` is its executable, or a directory of them, one for each architecture (self-module.ts). */
  self: v.optional(v.boolean()),
  process_name: v.optional(Text(255)),
  restart_order: v.optional(v.pipe(v.number(), v.safeInteger())),
  /** Size and digests of a single file; those of a tree are listed under `files` at the root. */
  size: v.optional(SizeBytes),
  md5: v.optional(Digest(32)),
  sha256: v.optional(Digest(64)),
  deltas: v.optional(DeltasSchema),
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
  /** The unit of `service` is enabled and started, also where it was disabled or stopped. */
  enable: v.optional(v.boolean()),
  /** The service is restarted also by an update that changes nothing of it. */
  restart: v.optional(v.literal('always', 'must be "always"')),
  health: v.optional(HealthSchema),
  /** Run after the switch, before any service starts; `post_cmds` is another name for it. */
  before_start: v.optional(commands(CommandLine)),
  post_cmds: v.optional(commands(ShellText)),
  /** Run after the files are back. */
  on_undo: v.optional(commands(CommandLine)),
  /** Of each command. */
  timeout_s: v.optional(v.pipe(v.number(), v.minValue(0.1), v.maxValue(3600))),
  /** Of what people may edit: `true` of a module that is one file, patterns of a tree. */
  config: v.optional(v.lazy((input) => (typeof input === 'boolean' ? v.boolean() : Patterns))),
  /** Of a tree: deployed where there is none, never replaced, never removed. */
  keep: v.optional(Patterns),
  /** Of a tree: what is not in the package goes, whoever put it there. */
  exact: v.optional(v.boolean()),
  /** Of a program, or of a tree's by pattern: as setcap(8) takes them. */
  capabilities: v.optional(FileCapabilities),
  /** What else a replaced file had (user.*, access lists, capabilities) does not go over to the new one. */
  xattrs: v.optional(v.literal('drop', 'must be "drop"')),
});

/** Size, SHA-256 and mode of one file of the package, so that a signature of the manifest covers every file. */
export const FileSchema = v.object({
  path: SourcePath,
  size: SizeBytes,
  sha256: Digest(64),
  mode: v.optional(Mode),
  deltas: v.optional(DeltasSchema),
});

const FilesSchema = v.pipe(
  v.array(FileSchema),
  v.maxLength(limits.packageFiles, `must not list more than ${limits.packageFiles} files`),
);

/** A symlink of the package and where it leads to, so that a signature of the manifest covers it. */
export const LinkSchema = v.object({ path: SourcePath, to: Text(limits.linkBytes) });

const FilesEntrySchema = v.object({ entry: SourcePath, sha256: Digest(64) });

export const ManifestSchema = v.object({
  version: VersionSchema,
  modules: v.pipe(
    v.array(ModuleSchema),
    v.maxLength(limits.modules, `must not name more than ${limits.modules} modules`),
  ),
  /** Modules that go from the device (removal.ts). */
  remove: v.optional(
    v.pipe(
      v.array(ModuleName),
      v.minLength(1, 'must name a module'),
      v.maxLength(limits.modules, `must not name more than ${limits.modules} modules`),
    ),
  ),
  /** The package names all that there is to be: every other module that an update has deployed goes. */
  complete: v.optional(v.boolean()),
  /** The list itself, or the entry of the package that holds it (listed-files.ts). */
  files: v.optional(v.lazy((input) => (Array.isArray(input) ? FilesSchema : FilesEntrySchema))),
  /** Directories that no file implies, so that a signature covers them, too. */
  directories: v.optional(
    v.pipe(
      v.array(SourcePath),
      v.maxLength(limits.packageFiles, `must not list more than ${limits.packageFiles} directories`),
    ),
  ),
  links: v.optional(
    v.pipe(
      v.array(LinkSchema),
      v.maxLength(limits.packageFiles, `must not list more than ${limits.packageFiles} links`),
    ),
  ),
  compatible: v.optional(
    v.pipe(v.array(Text(128)), v.minLength(1, 'must name a device type'), v.maxLength(256)),
  ),
  min_version: v.optional(VersionSchema),
  reboot: v.optional(v.boolean()),
  /** What is new, for people. */
  notes: v.optional(ReleaseNotes),
  /** Features (features.ts) that an updater must have; those it does not know are refused before the rest is read. */
  requires: v.optional(v.pipe(v.array(Text(64)), v.maxLength(64))),
});

export type Manifest = v.InferOutput<typeof ManifestSchema>;
export type ListedFile = v.InferOutput<typeof FileSchema>;
export type ManifestModule = Manifest['modules'][number];
