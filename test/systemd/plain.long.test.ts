/**
 * A device of mixed kinds under a real, booted systemd: plain programs beside units, through updates, failures and rollbacks;
 * judged by the whole table of what runs: names, users, counts, limits, directories, outputs.
 *
 * SLOW_STOP_S: how long the unit takes that is slow to stop (default 6; the longest that is promised is 300).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { answersSince, servedProgram, servedUnits, startClients } from './clients.ts';
import { bootContainer, type Container, until, wantedReleases, whyNoContainer } from './container.ts';
import { kinds, pathOf, programText } from './kinds.ts';
import {
  differences,
  filesOfPlain,
  pathOfPlain,
  plainPrograms,
  processTable,
  startPlainPrograms,
} from './plain.ts';
import { install, killInMidInstall, type Module, rollback, untilAtRest } from './update.ts';

const slowStopS = Number(process.env.SLOW_STOP_S ?? 6);

/** Two modules name `twins`: they are one service. */
function plainModules(version: string, names = plainPrograms.map(({ name }) => name)): Module[] {
  const programs = names.flatMap((name) =>
    Object.entries(filesOfPlain(name, version)).map(([dst, file], index) => ({
      name: index === 0 ? name : `${name}-${index}`,
      keys: { dst, process_name: name },
      file,
    })),
  );
  const data = { content: `of ${version}\n` };
  return names.includes('twins')
    ? [
        ...programs,
        { name: 'twins-data', keys: { dst: '/opt/tope/p/twins/data', process_name: 'twins' }, file: data },
      ]
    : programs;
}

const unitNames = ['notify-always-control-group', 'forking-no-process', 'by-socket'];
const units = kinds.filter(({ name }) => unitNames.includes(name));

function unitModules(version: string): Module[] {
  return units.map(({ name, unit }) => ({
    name,
    keys: { dst: pathOf(name), service: unit },
    file: { content: programText(version), mode: 0o755 },
  }));
}

/** `table` as it is when `version` runs. */
const at = (version: string, table: readonly string[]) =>
  table.map((line) => line.replace(/ version=\S+/, ` version=${version}`));

const logOf = (container: Container) => container.sh('cat /opt/tope/updater/logs/updater.log');

for (const release of wantedReleases()) {
  const why = whyNoContainer(release);
  const test = suite(`plain programs and units under the systemd of ${release}`);
  if (why !== undefined) {
    console.log(`skipped: plain programs and units under the systemd of ${release}: ${why}`);
    test.skip('plain programs and units under a real systemd', () => undefined);
    test.run();
    continue;
  }
  let container: Container;
  let table: readonly string[] = [];
  test.before(async () => {
    container = await bootContainer(release);
    await startPlainPrograms(container, '1.0.0');
    for (const { name, units: files } of units) {
      container.put(pathOf(name), programText('1.0.0'), 0o755);
      for (const [file, text] of Object.entries(files)) container.put(`/etc/systemd/system/${file}`, text);
    }
    await container.sh('systemctl daemon-reload');
    for (const command of units.flatMap(({ prepare }) => prepare)) await container.sh(command);
    const wanted = plainPrograms.reduce((sum, { count = 1 }) => sum + count, units.length);
    await until('all run', async () => (await processTable(container)).length === wanted);
    table = await processTable(container);
  });
  test.after(() => container.end());

  test('plain programs come back as they were, where pid 1 lives; what cannot be had again is replaced and said', async () => {
    assert.is(
      await install(container, '2.0.0', [...plainModules('2.0.0'), ...unitModules('2.0.0')]),
      undefined,
    );
    const after = await processTable(container);
    const expected = table.map((line) =>
      line
        .replace(/(?<=^lost .* cwd=)\S+ \(deleted\)/, '/opt/tope/p')
        .replace(
          /(?<=^piped .*)out=pipe err=pipe/,
          'out=/opt/tope/updater/logs/piped.out err=/opt/tope/updater/logs/piped.out',
        ),
    );
    assert.equal(differences(after, at('2.0.0', expected)), []);
    table = after;
    assert.equal(
      after.filter((line) => !line.includes(' mounts=host ')),
      [],
    );
    assert.match(
      await logOf(container),
      /lost: .* did not get back its directory \/opt\/tope\/p\/away\/deep/,
    );
    assert.match(await container.sh('cat /opt/tope/updater/logs/piped.out'), /piped 2\.0\.0 starts/);
  });

  test('a repair starts what was damaged as it was, and leaves the others running', async () => {
    const pids = () => container.sh(`cd /run/v; for f in *; do [ ! -d /proc/\${f##*.} ] || echo $f; done`);
    const before = (await pids()).split('\n');
    await container.sh(`echo damaged >>${pathOfPlain('traits')}`);
    const { status, output } = await container.updater('audit', '--repair', '--yes');
    assert.is(status, 0, output);
    assert.equal(differences(await processTable(container), table), []);
    const after = new Set((await pids()).split('\n'));
    assert.equal(
      before.filter((name) => !after.has(name)).map((name) => name.replace(/\..*/, '')),
      ['traits'],
    );
  });

  test('after an update that fails every program runs as before', async () => {
    const health = { exec: ['/bin/false'], timeout_s: 1 };
    const [first, ...others] = plainModules('3.0.0');
    const failing = [{ ...first, keys: { ...first?.keys, health } } as Module, ...others];
    assert.match(
      (await install(container, '3.0.0', [...failing, ...unitModules('3.0.0')])) ?? '',
      /HEALTH_CHECK_FAILED/,
    );
    assert.equal(differences(await processTable(container), table), []);
  });

  test('ten updates and rollbacks in a row end with the process table that they began with', async () => {
    for (let round = 1; round <= 5; round++) {
      const version = `4.0.${round}`;
      assert.is(
        await install(container, version, [...plainModules(version), ...unitModules(version)]),
        undefined,
      );
      assert.equal(differences(await processTable(container), at(version, table)), []);
      await rollback(container);
    }
    assert.equal(differences(await processTable(container), table), []);
    assert.is(
      await container.sh(
        'systemctl list-units --plain --no-legend --state=failed "*.service" "*.scope" | grep -c "run-" || true',
      ),
      '0',
    );
  });

  test('a kill of the updater in mid-install, twice: every program runs one version, as before', async () => {
    const version = '4.9.0';
    const killed = killInMidInstall(container);
    await install(container, version, [...plainModules(version), ...unitModules(version)]);
    await killed;
    await untilAtRest(container);
    const now = (await processTable(container)).some((line) => line.includes(` version=${version} `));
    assert.equal(differences(await processTable(container), now ? at(version, table) : table), []);
    if (now) await rollback(container);
    assert.equal(differences(await processTable(container), table), []);
  });

  test('a plain program that a loop keeps running: the update is taken back, and one copy of the old one runs', async () => {
    const path = pathOfPlain('revived');
    const [module] = plainModules('1.0.0', ['revived']);
    container.put(path, String(module?.file.content), 0o755);
    container.put('/root/loop', `while :; do ${path}; sleep 1; done\n`);
    await container.sh(
      'setsid systemd-run --quiet --scope --unit=session-loop sh /root/loop </dev/null >/dev/null 2>&1 &',
    );
    const revived = async () => (await processTable(container)).filter((line) => line.startsWith('revived '));
    await until('it runs', async () => (await revived()).length === 1);
    const said = await install(container, '5.0.0', plainModules('5.0.0', ['revived']));
    assert.match(said ?? '', /two copies run|something else keeps it running/);
    assert.match(said ?? '', /root\/loop|came back/);
    assert.equal(
      (await revived()).map((line) => line.split(' ')[1]),
      ['version=1.0.0'],
    );
    await container.sh('systemctl stop session-loop.scope');
  });

  test(`a unit that takes ${slowStopS} s to stop is waited for`, async () => {
    const path = pathOf('slow');
    const text = programText('1.0.0').replace('sleep 100;', `sleep ${slowStopS};`);
    container.put(path, text, 0o755);
    container.put(
      '/etc/systemd/system/slow.service',
      `[Service]\nExecStart=${path} slow slow\nTimeoutStopSec=infinity\n`,
    );
    await container.sh('systemctl daemon-reload; systemctl start slow');
    // Before its trap is set, it would end at once.
    const caught = 'grep SigCgt /proc/$(systemctl show -P MainPID slow)/status';
    await until('it catches SIGTERM', async () => /[4-7c-f].{3}$/.test((await container.sh(caught)).trim()));
    const began = Date.now();
    const file = { content: text.replaceAll('1.0.0', '6.0.0'), mode: 0o755 };
    const module = { name: 'slow', keys: { dst: path, service: 'slow.service' }, file };
    assert.is(await install(container, '6.0.0', [module]), undefined);
    assert.ok(Date.now() - began >= slowStopS * 1000);
    const slow = (await processTable(container)).filter((line) => line.startsWith('slow '));
    assert.equal(
      slow.map((line) => line.split(' ')[1]),
      ['version=6.0.0'],
    );
    await container.sh('systemctl kill -s KILL slow');
  });

  test('what a version enables is disabled where the next one does not, and enabled again by the way back to it', async () => {
    const path = pathOf('switched');
    container.put(path, programText('1.0.0'), 0o755);
    container.put(
      '/etc/systemd/system/switched.service',
      `[Service]\nExecStart=${path} switched\n[Install]\nWantedBy=multi-user.target\n`,
    );
    await container.sh('systemctl daemon-reload');
    const state = () =>
      container.sh('systemctl is-enabled switched || true; systemctl is-active switched || true');
    const module = (version: string, more: Readonly<Record<string, unknown>>): Module => ({
      name: 'switched',
      keys: { dst: path, service: 'switched.service', ...more },
      file: { content: programText(version), mode: 0o755 },
    });
    assert.is(await state(), 'disabled\ninactive');
    assert.is(await install(container, '7.0.0', [module('7.0.0', { enable: true })]), undefined);
    assert.is(await state(), 'enabled\nactive');
    assert.is(await install(container, '7.1.0', [module('7.1.0', {})]), undefined);
    assert.is(await state(), 'disabled\nactive');
    await rollback(container);
    assert.is(await state(), 'enabled\nactive');
    await rollback(container);
    assert.is(await state(), 'disabled\ninactive');
  });

  test('clients that connect all the time are answered by one version after the other, never by the old one at the end', async () => {
    const path = pathOf('served');
    container.put(path, servedProgram('1.0.0'), 0o755);
    for (const [name, text] of Object.entries(servedUnits))
      container.put(`/etc/systemd/system/${name}`, text);
    await container.sh('systemctl daemon-reload; systemctl start served.socket');
    await startClients(container);
    const module = (version: string, more: Readonly<Record<string, unknown>> = {}): Module => ({
      name: 'served',
      keys: { dst: path, service: 'served.service', ...more },
      file: { content: servedProgram(version), mode: 0o755 },
    });
    const versions = async () => (await answersSince(container)).map((line) => line.split(' ')[0]);
    await until('they are answered', async () => (await versions()).join() === '1.0.0');
    assert.is(await install(container, '8.0.0', [module('8.0.0')]), undefined);
    assert.equal(await versions(), ['1.0.0', '8.0.0']);
    await container.sh('sleep 0.5');
    assert.equal(await versions(), ['8.0.0']);
    const health = { exec: ['/bin/false'], timeout_s: 1 };
    assert.match(
      (await install(container, '8.1.0', [module('8.1.0', { health })])) ?? '',
      /HEALTH_CHECK_FAILED/,
    );
    assert.equal(await versions(), ['8.0.0', '8.1.0', '8.0.0']);
    await rollback(container);
    await container.sh('sleep 0.5');
    assert.equal(await versions(), ['8.0.0', '1.0.0']);
  });

  test("what runs in a unit of a user's own counts as a plain program: it is started anew, or, where that unit restarts it, nothing is changed", async () => {
    // What loginctl enable-linger does; that asks in whose session it is called, and here it is none of the container's.
    await container.sh('systemctl start user@$(id -u device)');
    const user = 'runuser -u device -- env XDG_RUNTIME_DIR=/run/user/$(id -u device) systemctl --user';
    const started = async (name: string, restart: string) => {
      container.put(pathOfPlain(name), String(plainModules('1.0.0', [name])[0]?.file.content), 0o755);
      const lines = [`ExecStart=${pathOfPlain(name)}`, `Restart=${restart}`, 'RestartSec=100ms'];
      container.put(`/etc/systemd/user/${name}.service`, `[Service]\n${lines.join('\n')}\n`);
      await until('it runs', async () =>
        /^active/.test(
          await container.sh(`${user} daemon-reload; ${user} start ${name}; ${user} is-active ${name}`),
        ),
      );
    };
    const running = async (name: string) =>
      (await processTable(container))
        .filter((line) => line.startsWith(`${name} `))
        .map((line) => / (version=\S+) .*(cwd=\S+) /.exec(line)?.slice(1).join(' '));
    await started('own', 'no');
    assert.is(await install(container, '9.0.0', plainModules('9.0.0', ['own'])), undefined);
    assert.equal(await running('own'), ['version=9.0.0 cwd=/home/device']);
    await started('kept', 'always');
    const said = await install(container, '9.1.0', plainModules('9.1.0', ['kept']));
    assert.match(said ?? '', /two copies run: .* that .*systemd --user/);
    assert.equal(await running('kept'), ['version=1.0.0 cwd=/home/device']);
  });

  test.run();
}
