/** `tope-updater init`: makes a folder that can be packed. */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errno } from '../errors.ts';
import { starterFiles } from '../pack/starter.ts';
import type { CommandInvocation } from './arguments.ts';
import { CommandError } from './failure.ts';
import { createOutput } from './output.ts';

export async function init({ operands }: CommandInvocation): Promise<number> {
  const [folder = ''] = operands;
  const output = createOutput(process.stdout, process.env);
  try {
    await mkdir(folder, { recursive: true });
    if ((await readdir(folder)).length > 0) throw new CommandError(`${folder} is not empty`);
    for (const { path, mode, text } of starterFiles()) {
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
  output.line(`next: tope-updater pack ${folder}`);
  return 0;
}
