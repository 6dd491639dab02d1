/** The systemd unit and the init script, as the tools that read them see them. */
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { suite } from '../runner/suites.ts';

const test = suite('unit and init script');

const scratch = mkdtempSync(join(tmpdir(), 'service-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const placedNames: Record<string, string> = {
  'tope-updater.init': 'tope-updater-init',
  'launch.sh': 'tope-updater-launch',
};

/** A file of deploy/ as install.sh would place it, with the prefix in the scratch folder. */
function placed(name: string, mode: number): string {
  const path = join(scratch, placedNames[name] ?? name);
  const text = readFileSync(join('deploy', name), 'utf8').replaceAll('/opt/tope/updater', scratch);
  writeFileSync(path, text, { mode });
  return path;
}

/** Stands for the executable: notes its start and its end, and ends at SIGTERM. */
const updater = join(scratch, 'tope-updater');
writeFileSync(
  updater,
  `#!/bin/sh\necho "start $*" >>${scratch}/log\ntrap 'echo end >>${scratch}/log; exit 0' TERM\nwhile :; do sleep 0.1; done\n`,
  { mode: 0o755 },
);

const analyze = (...args: string[]) =>
  spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
const hasSystemd = analyze('--version').status === 0;
if (!hasSystemd) console.log('skipped: the unit file: systemd-analyze is not installed');
const unitTest = hasSystemd ? test : test.skip;

unitTest('systemd-analyze verify has nothing to say about the unit', () => {
  const { status, stdout, stderr } = analyze('verify', '--man=no', placed('tope-updater.service', 0o644));
  // Other units of the machine may have faults of their own; ours must have none.
  assert.not.match(stdout + stderr, 'tope-updater');
  assert.is(status, 0);
});

unitTest('systemd-analyze verify has nothing to say about the unit that recovers at boot', () => {
  const path = placed('tope-updater-recover.service', 0o644);
  const { status, stdout, stderr } = analyze('verify', '--man=no', path);
  assert.not.match(stdout + stderr, 'tope-updater-recover');
  assert.is(status, 0);
});

unitTest('systemd-analyze security gives an exposure below 8', () => {
  const { stdout } = analyze(
    'security',
    '--offline=yes',
    '--no-pager',
    placed('tope-updater.service', 0o644),
  );
  const score = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
  console.log(`\nmeasured: systemd-analyze security: exposure ${score} of 10`);
  assert.ok(score < 8, stdout);
});

test('the unit gives the updater more time to stop than its own bounds need', () => {
  const seconds = Number(
    /^TimeoutStopSec=(\d+)$/m.exec(readFileSync('deploy/tope-updater.service', 'utf8'))?.[1],
  );
  assert.ok(seconds * 1000 >= limits.shutdownMs + limits.processTermMs + limits.processKillMs);
});

const runFolder = join(scratch, 'run');
mkdirSync(runFolder);

function init(script: string, action: string) {
  return spawnSync('sh', [script, action], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env.PATH, TOPE_UPDATER_RUN: runFolder },
  });
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (holds()) return;
    await sleep(50);
  }
  throw new Error(`never came: ${what}`);
}

const log = () => (existsSync(join(scratch, 'log')) ? readFileSync(join(scratch, 'log'), 'utf8') : '');
const starts = () => log().match(/^start run/gm)?.length ?? 0;

function updaterPid(): number | undefined {
  const file = join(runFolder, 'tope-updater.pid');
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
  return pid > 1 ? pid : undefined;
}

placed('launch.sh', 0o755);

test.long(
  'the init script starts the updater, starts it again after a crash, and stops it for good',
  async () => {
    const script = placed('tope-updater.init', 0o755);
    try {
      assert.is(init(script, 'status').status, 3);
      assert.is(init(script, 'start').status, 0);
      await until('the first start', () => starts() === 1 && init(script, 'status').status === 0);
      assert.match(init(script, 'start').stdout, 'is running');

      const first = updaterPid();
      if (first === undefined) throw new Error('no pid file');
      process.kill(first, 'SIGKILL');
      await until(
        'the second start',
        () => starts() === 2 && updaterPid() !== undefined && updaterPid() !== first,
      );

      assert.is(init(script, 'stop').status, 0);
      assert.match(log(), /end\n$/);
      assert.is(init(script, 'status').status, 3);
      await sleep(2500);
      assert.is(starts(), 2, 'it was started again after stop');
    } finally {
      init(script, 'stop');
    }
  },
);

test.long(
  'the init script ends an updater whose loop was killed before it starts another, and recovers first',
  async () => {
    const script = placed('tope-updater.init', 0o755);
    mkdirSync(join(scratch, 'backups'), { recursive: true });
    try {
      const before = starts();
      assert.is(init(script, 'start').status, 0);
      await until('the start', () => starts() === before + 1 && updaterPid() !== undefined);
      const orphan = updaterPid() ?? 0;
      process.kill(Number(readFileSync(join(runFolder, 'tope-updater.loop.pid'), 'utf8')), 'SIGKILL');
      await sleep(200);
      writeFileSync(join(scratch, 'backups', 'journal'), '');
      // What stands for the executable notes a recovery like a start, and would run on.
      writeFileSync(
        updater,
        readFileSync(updater, 'utf8').replace('trap', '[ "$1" != recover ] || exit 0\ntrap'),
      );
      assert.is(init(script, 'start').status, 0);
      await until(
        'another',
        () => updaterPid() !== undefined && updaterPid() !== orphan && starts() === before + 2,
      );
      assert.not.ok(existsSync(`/proc/${orphan}/exe`), 'the first one runs on');
      assert.match(log(), /end\nstart recover *\nstart run/);
      assert.is(init(script, 'stop').status, 0);
      await sleep(300);
      assert.is(updaterPid(), undefined);
    } finally {
      init(script, 'stop');
    }
  },
);

(process.getuid?.() === 0 ? test : test.skip)(
  'the init script takes no process of another user for the updater, whatever its number and name',
  async () => {
    const script = placed('tope-updater.init', 0o755);
    const namesake = spawn(
      'setpriv',
      ['--reuid', '65534', '--clear-groups', 'sh', '-c', 'read x # tope-updater'],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
      },
    );
    try {
      await until('it is another user', () => statSync(`/proc/${namesake.pid}`).uid === 65534);
      writeFileSync(join(runFolder, 'tope-updater.pid'), `${namesake.pid}\n`);
      assert.is(init(script, 'status').status, 3);
    } finally {
      namesake.kill('SIGKILL');
      rmSync(join(runFolder, 'tope-updater.pid'));
    }
  },
);

test('the init script says what it understands', () => {
  const { status, stderr } = init(placed('tope-updater.init', 0o755), 'dance');
  assert.is(status, 2);
  assert.match(stderr, '{start|stop|restart|status|recover}');
});

test('a start that fails says why in a file that does not grow, and the next start names it', async () => {
  const script = placed('tope-updater.init', 0o755);
  const program = readFileSync(updater, 'utf8');
  const startLog = join(scratch, 'logs', 'start.log');
  writeFileSync(updater, '#!/bin/sh\necho "config file: unknown key colour" >&2\nexit 2\n');
  mkdirSync(join(scratch, 'logs'), { recursive: true });
  writeFileSync(startLog, 'x'.repeat(70_000));
  const said = () => (existsSync(startLog) ? readFileSync(startLog, 'utf8') : '');
  try {
    assert.is(init(script, 'start').status, 0);
    await until('the reason', () => said() === 'config file: unknown key colour\n');
    await until('the end of that start', () => updaterPid() === undefined);
    assert.match(init(script, 'start').stdout, `tope-updater ends at its starts; the reason: ${startLog}`);
  } finally {
    init(script, 'stop');
    writeFileSync(updater, program);
  }
});

test('the init script recovers where a journal is, here or in another work directory, and starts nothing without', () => {
  const script = placed('tope-updater.init', 0o755);
  const program = readFileSync(updater, 'utf8');
  writeFileSync(updater, program.replace('trap', 'exit 0\ntrap'));
  const elsewhere = join(scratch, 'elsewhere');
  const recoveries = () => {
    const before = log();
    assert.is(init(script, 'recover').status, 0);
    return log().slice(before.length);
  };
  try {
    rmSync(join(scratch, 'backups'), { recursive: true, force: true });
    assert.is(recoveries(), '');
    symlinkSync(elsewhere, join(scratch, 'journal'));
    assert.is(recoveries(), '', 'no update was cut there');
    writeFileSync(elsewhere, '');
    assert.match(recoveries(), /^start recover *\n$/);
    rmSync(join(scratch, 'journal'));
    mkdirSync(join(scratch, 'backups'));
    writeFileSync(join(scratch, 'backups', 'journal'), '');
    assert.match(recoveries(), /^start recover *\n$/);
  } finally {
    writeFileSync(updater, program);
    rmSync(join(scratch, 'backups'), { recursive: true, force: true });
  }
});

test.run();
