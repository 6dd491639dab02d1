/** `tope-updater init`: makes a folder that can be packed. */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Flags, UsageError } from '../config.ts';
import { errno } from '../errors.ts';
import { suggestion } from '../nearest.ts';
import { type StarterKind, starterFiles, starterKinds, usualRoot } from '../pack/starter.ts';
import type { CommandInvocation } from './arguments.ts';
import { CommandError } from './failure.ts';
import { textFlag } from './flags.ts';
import { createOutput } from './output.ts';

export async function init({ flags, operands }: CommandInvocation): Promise<number> {
  const [folder = ''] = operands;
  const kind = kindOf(flags);
  const root = rootOf(flags);
  const output = createOutput(process.stdout, process.env);
  try {
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length > 0)
      throw new CommandError(`${folder} is not empty: name a new folder`);
    for (const { path, mode, text } of starterFiles(kind, root)) {
      const target = join(folder, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, text, { flag: 'wx' });
      await chmod(target, mode);
      output.line(`wrote ${target}`);
    }
  } catch (thrown) {
    if (errno(thrown) === undefined) throw thrown;
    throw new CommandError(`cannot write ${folder}: ${errno(thrown)}`, 1, { cause: thrown });
  }
  output.line(`next: tope-updater pack ${folder}${root === usualRoot ? '' : ` --allow-root ${root}`}`);
  return 0;
}

function rootOf(flags: Flags): string {
  const root = textFlag(flags, 'dst') ?? usualRoot;
  // It comes to stand in JSON and in shell scripts.
  if (!/^(\/[\w.-]+)+$/.test(root))
    throw new UsageError(
      `--dst: must be an absolute path of letters, digits, ".", "_" and "-", not "${root}"`,
    );
  return root;
}

function kindOf(flags: Flags): StarterKind {
  const given = textFlag(flags, 'kind') ?? 'service';
  const kind = starterKinds.find((known) => known === given);
  if (kind === undefined)
    throw new UsageError(
      `--kind: must be one of ${starterKinds.join(', ')}, not "${given}"${suggestion(given, starterKinds)}`,
    );
  return kind;
}
