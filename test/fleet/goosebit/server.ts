/**
 * gooseBit, a server of the field that speaks hawkBit's DDI, with a plugin that orders our packages. From PyPI, into a venv in
 * build/.cache, once; nothing of it is part of the project.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from '../../integration/daemon.ts';

const release = '0.2.12';
const here = import.meta.dirname;
const venv = join(here, '../../../build/.cache', `goosebit-${release}`);
const python = join(venv, 'bin/python');
const isDone = join(venv, 'done');

export interface Goosebit {
  readonly url: string;
  /** Orders that package of that device. */
  order(device: string, version: string, package_: { readonly name: string; readonly path: string }): void;
  device(
    name: string,
  ): Promise<{ readonly state: string; readonly log: string; readonly version: string | null }>;
  /** What it printed. */
  said(): string;
  close(): Promise<void>;
}

/** Installs it where it is not there yet. Why that cannot be; undefined: it is there. */
export function missingGoosebit(): string | undefined {
  if (existsSync(isDone)) return undefined;
  const version = spawnSync('python3', [
    '-c',
    'import sys, ensurepip, venv; print(*sys.version_info[:2], sep=".")',
  ]);
  if (version.status !== 0) return 'there is no python3 with venv (Debian: python3-venv)';
  const [major = 0, minor = 0] = String(version.stdout).split('.').map(Number);
  if (major !== 3 || minor < 11) return `gooseBit needs Python 3.11, this is ${major}.${minor}`;
  console.log(`installing gooseBit ${release} (once, into ${venv})`);
  rmSync(venv, { recursive: true, force: true });
  const made = spawnSync('python3', ['-m', 'venv', venv]);
  if (made.status !== 0) return `python3 -m venv: ${String(made.stderr).trim()}`;
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `goosebit==${release}`];
  const installed = spawnSync(python, install);
  if (installed.status !== 0)
    return `pip does not install gooseBit: ${String(installed.stderr).trim().split('\n').at(-1)}`;
  writeFileSync(isDone, '');
  return undefined;
}

/** Starts it on a free port of the loopback; `tokens`: of each device. Rejects, with what it said, where it does not answer. */
export async function startGoosebit(tokens: Readonly<Record<string, string>>): Promise<Goosebit> {
  const folder = mkdtempSync(join(tmpdir(), 'goosebit-'));
  const [orders, plugins] = [join(folder, 'orders'), join(folder, 'plugins')];
  for (const path of [orders, plugins, join(plugins, 'tope_orders-1.dist-info')]) mkdirSync(path);
  copyFileSync(join(here, 'tope_orders.py'), join(plugins, 'tope_orders.py'));
  const facts = join(plugins, 'tope_orders-1.dist-info');
  writeFileSync(join(facts, 'METADATA'), 'Metadata-Version: 2.1\nName: tope_orders\nVersion: 1\n');
  writeFileSync(join(facts, 'entry_points.txt'), '[goosebit.plugins]\ntope_orders = tope_orders\n');
  const settings = join(folder, 'settings.yaml');
  writeFileSync(
    settings,
    [
      `db_uri: sqlite://${join(folder, 'db.sqlite3')}`,
      `artifacts_dir: ${join(folder, 'artifacts')}`,
      'plugins: [tope_orders]',
      'device_auth: {enable: true, mode: strict}',
    ].join('\n'),
  );
  const env = { ...process.env, GOOSEBIT_SETTINGS: settings, PYTHONPATH: plugins, TOPE_ORDERS: orders };
  const pairs = Object.entries(tokens).map(([name, token]) => `${name}=${token}`);
  const prepared = spawnSync(python, [join(here, 'prepare.py'), ...pairs], { env, cwd: folder });
  if (prepared.status !== 0) throw new Error(`gooseBit's tables: ${String(prepared.stderr)}`);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // Not `python -m goosebit`, which listens on every address.
  const address = ['--host', '127.0.0.1', '--port', String(port)];
  const child = spawn(python, ['-m', 'uvicorn', 'goosebit:app', ...address], { env, cwd: folder });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  const goosebit: Goosebit = {
    url,
    order: (device, version, { name, path }) => {
      copyFileSync(path, join(orders, name));
      writeFileSync(join(orders, `${device}.json`), JSON.stringify({ version, file: name }));
    },
    device: async (name) => (await fetch(`${url}/plugins/tope_orders/device/${name}`)).json() as never,
    said: () => said,
    close: async () => {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    await until(
      () => `gooseBit answers; it said ${said}`,
      async () => {
        if (child.exitCode !== null) throw new Error(`gooseBit ended: ${said}`);
        return fetch(url, { redirect: 'manual' }).then(
          () => true,
          () => false,
        );
      },
    );
  } catch (thrown) {
    await goosebit.close();
    throw thrown;
  }
  return goosebit;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const impatient = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exit;
  clearTimeout(impatient);
}
