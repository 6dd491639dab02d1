/** What somebody is told who does not know the updater yet: what a rollback brings, how a daemon is started, what an options file says, who has the port. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { flagAdvice, optionsAdvice } from '../../src/cli/allowed-roots.ts';
import { doctorTarget } from '../../src/cli/doctor-target.ts';
import { downgradeText, refuseDowngrade } from '../../src/cli/downgrade.ts';
import { foldedPaths } from '../../src/cli/folded-paths.ts';
import { forecastLines } from '../../src/cli/forecast-text.ts';
import { rollbackQuestion } from '../../src/cli/rollback.ts';
import { startCommand } from '../../src/cli/start-command.ts';
import type { HistoryEntry } from '../../src/history.ts';
import type { Processes } from '../../src/host/host.ts';

const test = suite('words for newcomers');
const folder = mkdtempSync(join(tmpdir(), 'newcomers-'));
test.after(() => rmSync(folder, { recursive: true }));

const none: Pick<Processes, 'list'> = { list: async () => [] };

function entry(kind: HistoryEntry['kind'], from: string | null, to: string | null): HistoryEntry {
  return {
    ...{ id: '1', kind, version: to, previous_version: from, outcome: 'success', error: null, bytes: 1 },
    ...{ started_at: '2026-01-01T00:00:00.000Z', ended_at: '2026-01-01T00:00:00.000Z', modules: [] },
  };
}

/** Newest first, as the daemon tells it. */
const history = [
  { ...entry('update', '1.1.0', '3.0.0'), outcome: 'failed' as const },
  entry('update', '1.1.0', '1.2.0'),
  entry('update', '1.0.0', '1.1.0'),
  entry('rollback', '2.0.0', '1.0.0'),
  entry('update', '1.0.0', '2.0.0'),
  entry('update', null, '1.0.0'),
];

for (const [version, text] of [
  [undefined, 'Take the last update back on this device: 1.2.0 goes, 1.1.0 runs again?'],
  ['1.1.0', 'Take 1.1.0 and every update after it back on this device: 1.2.0, 1.1.0 go, 1.0.0 runs again?'],
  [
    '1.0.0',
    'Take 1.0.0 and every update after it back on this device: 1.2.0, 1.1.0, 1.0.0 go, what was there before the first update comes back?',
  ],
  ['9.9.9', 'Take 9.9.9 and every update after it back on this device?'],
] as const)
  test(`the question of rollback ${version ?? ''} names what goes and what runs then`, () => {
    assert.is(rollbackQuestion(history, version), text);
  });

test('a lower version is refused with the flag that allows it, and with the rollback where there is one', () => {
  const refused = (past: readonly HistoryEntry[]) => {
    try {
      refuseDowngrade('1.0.5', '1.2.0', past);
    } catch (thrown) {
      return (thrown as Error).message;
    }
    return '';
  };
  const text = 'DOWNGRADE_REFUSED: 1.0.5 is lower than the installed 1.2.0';
  const flag = '  to install it all the same: --allow-downgrade';
  assert.is(refused(history), `${text}\n${flag}\n  to go back to 1.1.0: tope-updater rollback`);
  assert.is(
    refused([entry('update', null, '1.2.0')]),
    `${text}\n${flag}\n  to take 1.2.0 back: tope-updater rollback`,
  );
  assert.is(refused([]), `${text}\n${flag}`);
  assert.is(downgradeText(`${text}; send "allow_downgrade": true to install it`, []), `${text}\n${flag}`);
  refuseDowngrade('1.2.0', '1.2.0', history);
  refuseDowngrade('1.0.5', null, history);
});

test('a package that writes elsewhere is refused with the roots to give, and with the line of the options file', () => {
  const refusal =
    'INVALID_MANIFEST: modules[0].dst: "/home/pi/app" is outside the allowed roots (/opt/tope, /srv)';
  const flags = '--allow-root /opt/tope --allow-root /srv --allow-root /home/pi';
  assert.is(
    flagAdvice(refusal),
    `where the devices allow it, too: ${flags} (what is given replaces the default)`,
  );
  assert.match(optionsAdvice(refusal) ?? '', `\n    TOPE_UPDATER_OPTIONS="${flags}"`);
  for (const unclear of [
    'module "app": /opt/tope/app leads to /x, outside the allowed roots',
    refusal.replace('/home/pi/app', '/app'),
    refusal.replace('/home/pi/app', '/my files/app'),
  ])
    assert.match(optionsAdvice(unclear) ?? '', / --allow-root DIR"/);
  assert.equal([flagAdvice('DISK_FULL: x'), optionsAdvice('DISK_FULL: x')], [undefined, undefined]);
});

test('a device without systemd is started by its init script', () => {
  const root = join(folder, 'device');
  mkdirSync(join(root, 'etc/init.d'), { recursive: true });
  assert.is(startCommand(root), 'systemctl start tope-updater');
  writeFileSync(join(root, 'etc/init.d/tope-updater'), '');
  assert.is(startCommand(root), '/etc/init.d/tope-updater start');
  mkdirSync(join(root, 'run/systemd/system'), { recursive: true });
  assert.is(startCommand(root), 'systemctl start tope-updater');
});

test('where no daemon runs its options are those of the file that starts it', async () => {
  const path = join(folder, 'options');
  const config = join(folder, 'config.json');
  writeFileSync(config, '{"device_type": "printer-x1"}');
  writeFileSync(path, `# ours\nTOPE_UPDATER_OPTIONS="--dir /data/updater  --config ${config}"\n`);
  const target = await doctorTarget({}, none as Processes, path);
  assert.equal(
    [target.workDirectory, target.config.device_type, target.configPath],
    ['/data/updater', 'printer-x1', config],
  );
  writeFileSync(config, '{"device_typ": "x"}');
  const said = await doctorTarget({}, none as Processes, path).catch((thrown: Error) => thrown.message);
  assert.is(said, 'config file: unknown key "device_typ"; did you mean "device_type"?');
  const bare = await doctorTarget({}, none as Processes, join(folder, 'none'));
  assert.is(bare.workDirectory, '/opt/tope/updater');
});

test('a package that would change nothing is told so', () => {
  const files = { added: [], replaced: [], edited: [], editedRemoved: [], beside: [], removed: [] };
  const lists = { staying: [], removedModules: [], commands: [], restarts: [], stops: [], unusedUnits: [] };
  const lines = forecastLines({
    ...{ version: '1.0.0', previousVersion: '1.0.0', reboot: false },
    ...{ files, ...lists },
  } as unknown as Parameters<typeof forecastLines>[0]);
  assert.equal(lines, ['on this device: from 1.0.0 to 1.0.0', '  nothing changes']);
});

test('many files of a folder are told as that folder, few by their names', () => {
  const venv = Array.from({ length: 90 }, (_, index) => `/opt/tope/app/venv/lib/a${index % 9}/f${index}.py`);
  const own = ['/opt/tope/app/uploads/one.gcode', '/opt/tope/app/state.db'];
  assert.equal(foldedPaths(own, 10), own);
  assert.equal(foldedPaths([...venv, ...own], 10), ['/opt/tope/app/venv/lib/ (90 files)', ...own]);
  const names = Array.from({ length: 30 }, (_, index) => `/opt/f${index}`);
  assert.equal(foldedPaths(names, 10), ['/opt/ (30 files)']);
});

test.run();
