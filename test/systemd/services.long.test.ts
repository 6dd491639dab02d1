/**
 * Services under a real, booted systemd: every kind of kinds.ts through an install, an install that fails, a kill of the updater
 * in mid-install, a repair and rollbacks; judged by what the running programs say themselves.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootContainer, type Container, wantedReleases, whyNoContainer } from './container.ts';
import { type Kind, kinds, pathOf, programText } from './kinds.ts';
import { install as installModules, killInMidInstall, type Module, rollback, untilAtRest } from './update.ts';

interface Wish {
  readonly version: string;
  /** Keys that differ of one kind's module. */
  readonly keys?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Lines of the program of one kind. */
  readonly extra?: Readonly<Record<string, string>>;
  readonly more?: readonly Module[];
  /** Kinds that the package does not name any more. */
  readonly without?: readonly string[];
  readonly manifest?: Readonly<Record<string, unknown>>;
}

/** Builds a package of all kinds and installs it; gives the updater's words where that fails. */
async function install(
  container: Container,
  { version, keys = {}, extra = {}, more = [], without = [], manifest = {} }: Wish,
): Promise<string | undefined> {
  const present = kinds.filter(({ name }) => !without.includes(name));
  const modules = present.map(({ name, unit, keys: own }) => ({
    name,
    keys: { dst: pathOf(name), service: unit, ...own, ...keys[name] },
    file: { content: programText(version, extra[name]), mode: 0o755 },
  }));
  return await installModules(container, version, [...modules, ...more], manifest);
}

interface State {
  /** Versions that run, by program. */
  readonly runs: ReadonlyMap<string, readonly string[]>;
  readonly active: ReadonlySet<string>;
}

async function look(container: Container): Promise<State> {
  // NAME.PID of those that are alive, with what each said of its version.
  const lines = await container.sh(
    'mkdir -p /run/v; cd /run/v; for f in $(ls); do p=$(echo $f | sed "s/.*[.]//"); [ ! -d /proc/$p ] || echo $f $(cat $f); done',
  );
  const runs = new Map<string, string[]>();
  for (const line of lines.split('\n').filter((each) => each !== '')) {
    const [file = '', version = ''] = line.split(' ');
    const name = file.slice(0, file.lastIndexOf('.'));
    runs.set(name, [...(runs.get(name) ?? []), version]);
  }
  const units = await container.sh(
    "systemctl list-units --all --plain --no-legend --state=active | cut -d ' ' -f 1",
  );
  return { runs, active: new Set(units.split('\n')) };
}

/** What is wrong with a kind that shall run `version`. */
function wrong(kind: Kind, version: string, { runs, active }: State): string[] {
  const faults: string[] = [];
  for (const [name, count] of Object.entries(kind.runs)) {
    const found = (runs.get(name) ?? []).join();
    const said = name === kind.name ? version : 'dependent';
    const expected = Array.from({ length: count }, () => said).join();
    if (found !== expected) faults.push(`${kind.name}: ${name} runs [${found}], expected [${expected}]`);
  }
  for (const unit of kind.active) if (!active.has(unit)) faults.push(`${kind.name}: ${unit} is not active`);
  return faults;
}

async function allRun(container: Container, version: string): Promise<void> {
  const state = await look(container);
  assert.equal(
    kinds.flatMap((kind) => wrong(kind, version, state)),
    [],
  );
}

async function prepare(container: Container): Promise<void> {
  for (const kind of kinds) {
    container.put(pathOf(kind.name), programText('1.0.0'), 0o755);
    for (const [name, text] of Object.entries(kind.units)) container.put(`/etc/systemd/system/${name}`, text);
  }
  await container.sh('systemctl daemon-reload');
  for (const command of kinds.flatMap((each) => each.prepare)) await container.sh(command);
}

for (const release of wantedReleases()) {
  const why = whyNoContainer(release);
  const test = suite(`services under the systemd of ${release}`);
  if (why !== undefined) {
    console.log(`skipped: services under the systemd of ${release}: ${why}`);
    test.skip('services under a real systemd', () => undefined);
    test.run();
    continue;
  }
  let container: Container;
  test.before(async () => {
    container = await bootContainer(release);
    console.log(
      `\nmeasured: ${kinds.length} kinds of services, ${await container.sh('systemctl --version | head -n 1')}`,
    );
    await prepare(container);
  });
  test.after(() => container.end());

  test('all run before', async () => {
    // A unit of Type=simple counts as started before its program has said anything.
    await container.sh('sleep 1');
    await allRun(container, '1.0.0');
  });

  test('an install: every kind runs the new version, once, and what was down stays down', async () => {
    assert.is(await install(container, { version: '2.0.0' }), undefined);
    await allRun(container, '2.0.0');
  });

  test('an install whose health check fails: every kind runs the old version again', async () => {
    const health = { exec: ['/bin/false'], timeout_s: 1 };
    const said = await install(container, { version: '3.0.0', keys: { 'simple-no-process': { health } } });
    assert.match(said ?? '', /HEALTH_CHECK_FAILED/);
    await allRun(container, '2.0.0');
  });

  test('a version that crashes: the error has its last words, and a start limit that it used up holds nothing back', async () => {
    const extra = { limited: 'echo the very reason >&2; exit 3' };
    assert.match((await install(container, { version: '3.0.1', extra })) ?? '', /limited.*the very reason/s);
    await allRun(container, '2.0.0');
    assert.is(await install(container, { version: '3.0.2' }), undefined);
    await allRun(container, '3.0.2');
    await rollback(container);
    await allRun(container, '2.0.0');
  });

  test('a kill of the updater in mid-install: it goes on, every kind runs one version, once', async () => {
    const killed = killInMidInstall(container);
    await install(container, { version: '4.0.0' });
    await killed;
    await untilAtRest(container);
    const state = await look(container);
    const version = state.runs.get('simple-no-process')?.[0] ?? '';
    assert.ok(['2.0.0', '4.0.0'].includes(version), version);
    await allRun(container, version);
  });

  test('a repair restarts what was damaged, and nothing else', async () => {
    const names = ['notify-no-mixed', 'simple-always-mixed'];
    const pids = () => Promise.all(names.map((name) => container.sh(`systemctl show -P MainPID ${name}`)));
    const [damaged, other] = await pids();
    await container.sh(`echo damaged >>${pathOf('notify-no-mixed')}`);
    const { status, output } = await container.updater('audit', '--repair', '--yes');
    assert.is(status, 0, output);
    const [version = ''] = (await look(container)).runs.get('simple-always-mixed') ?? [];
    await allRun(container, version);
    const after = await pids();
    assert.is.not(after[0], damaged);
    assert.is(after[1], other);
  });

  test('a new unit that is enabled runs and is enabled, and a rollback takes all of it away', async () => {
    assert.is(await install(container, { version: '5.0.0', more: freshModules('5.0.0') }), undefined);
    assert.equal((await look(container)).runs.get('fresh'), ['5.0.0']);
    assert.is(await container.sh('systemctl is-enabled fresh'), 'enabled');
    await rollback(container);
    const after = await look(container);
    assert.is(after.runs.get('fresh'), undefined);
    assert.is(
      await container.sh(
        'ls /etc/systemd/system/multi-user.target.wants/fresh.service 2>/dev/null || echo gone',
      ),
      'gone',
    );
    await allRun(container, after.runs.get('simple-no-process')?.[0] ?? '');
  });

  test('modules that go: units are stopped and disabled, and come back as they were by an undo and a rollback', async () => {
    const going = ['simple-no-process', 'base-partof', 'disabled', 'stopped', 'template'];
    const names = [
      'simple-no-process',
      'base-partof',
      'on-base-partof',
      'disabled',
      'stopped',
      'template@1',
      'fresh',
    ];
    const states = () =>
      container.sh(
        `for u in ${names.join(' ')}; do echo $u $(systemctl is-enabled $u 2>/dev/null) $(systemctl is-active $u); done; ls /etc/systemd/system/fresh.service 2>/dev/null || echo no unit`,
      );
    assert.is(await install(container, { version: '6.0.0', more: freshModules('6.0.0') }), undefined);
    const before = await states();
    assert.match(before, /^fresh enabled active$/m);
    const manifest = { remove: [...going, 'fresh-unit'], complete: true };
    const health = { exec: ['/bin/false'], timeout_s: 1 };
    const bad = { version: '7.0.0', without: going, manifest, keys: { 'simple-always-mixed': { health } } };
    assert.match((await install(container, bad)) ?? '', /HEALTH_CHECK_FAILED/);
    assert.is(await states(), before);
    await allRun(container, '6.0.0');
    assert.is(await install(container, { version: '7.0.1', without: going, manifest }), undefined);
    const after = await states();
    for (const name of going)
      assert.not.match(
        after,
        new RegExp(`^${name.replace('template', 'template@1')} (enabled|.*[^n]active)`, 'm'),
      );
    assert.match(after, /^fresh (not-found )?inactive$/m);
    assert.match(after, /^no unit$/m);
    await rollback(container);
    assert.is(await states(), before);
    await allRun(container, '6.0.0');
    assert.equal((await look(container)).runs.get('fresh'), ['6.0.0']);
  });

  test.run();
}

/** A unit that the package brings, with its program. */
function freshModules(version: string): Module[] {
  const unit =
    '[Unit]\n[Service]\nExecStart=/opt/tope/k/fresh/run fresh\n[Install]\nWantedBy=multi-user.target\n';
  return [
    {
      name: 'fresh-unit',
      keys: { dst: '/etc/systemd/system/fresh.service', mode: '0644' },
      file: { content: unit },
    },
    {
      name: 'fresh',
      keys: { dst: pathOf('fresh'), service: 'fresh.service', enable: true },
      file: { content: programText(version), mode: 0o755 },
    },
  ];
}
