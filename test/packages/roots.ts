/**
 * Makes the fresh Debian roots for the tests of the packages, once, in build/.cache. Apart from the tests, because each test file
 * has a network of its own, in which there is no package archive: what the packages depend on is in the roots.
 *
 * Usage: tsx test/packages/roots.ts [bookworm|trixie-arm64|...]    (default: all)
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Debian, debians, dependencies, rootOf } from './chroot.ts';
import { emulate, whyNotEmulated } from './emulated.ts';

if (process.getuid?.() !== 0) console.log('skipped: Debian roots need root');
else if (spawnSync('sh', ['-c', 'command -v mmdebstrap']).status !== 0)
  console.log('skipped: Debian roots need mmdebstrap (Debian: mmdebstrap)');
else for (const debian of wanted(process.argv.slice(2))) await makeRoot(debian);

async function makeRoot(debian: Debian): Promise<void> {
  const { release, architecture, name } = debian;
  const root = rootOf(debian);
  if (existsSync(root)) return;
  const why = architecture === 'amd64' ? undefined : whyNotEmulated(architecture);
  if (why !== undefined) return console.log(`skipped: a root of ${name}: ${why}`);
  console.log(`installing a Debian ${name} for the packages (once)`);
  const partial = `${root}.${process.pid}`;
  mkdirSync(dirname(root), { recursive: true });
  const include = `--include=${dependencies(debian).join(',')}`;
  const emulated = architecture === 'amd64' ? undefined : await emulate(architecture);
  try {
    // It would ask for a program that tells whether the architecture can be run: that was found out already.
    const how = ['--variant=minbase', '--skip=check/qemu', include, '--aptopt=Acquire::Languages "none"'];
    // The release alone: its point releases have all that is wanted, and updates and security are two lists more to be fetched.
    const releaseAlone = `--setup-hook=sed -i '/ ${release}-/d' "$1"/etc/apt/sources.list`;
    const command = ['mmdebstrap', ...how, releaseAlone, `--architectures=${architecture}`, release, partial];
    const [program = '', ...args] = emulated === undefined ? command : emulated.argv(command);
    execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 1_200_000 });
    renameSync(partial, root);
  } catch (thrown) {
    rmSync(partial, { recursive: true, force: true });
    console.log(`skipped: a root of ${name}: ${errorsIn(String(thrown))}`);
  } finally {
    emulated?.end();
  }
}

/** Of all that mmdebstrap and apt tell, what they call errors; everything where there is none. */
function errorsIn(told: string): string {
  const errors = told.split('\n').filter((line) => line.startsWith('E: '));
  return errors.length === 0 ? told : errors.join('\n');
}

function wanted(names: readonly string[]): readonly Debian[] {
  const known = debians.map(({ name }) => name);
  const unknown = names.find((name) => !known.some((each) => each === name));
  if (unknown !== undefined) throw new Error(`RELEASE=${unknown}: must be one of ${known.join(', ')}`);
  return names.length === 0 ? debians : debians.filter(({ name }) => names.includes(name));
}
