/** Which services a plan has to do with: those whose files, unit or description change, and no others. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Plan, PlannedCommands, Step } from '../../src/deploy/plan.ts';
import type { Recorded } from '../../src/deploy/recorded.ts';
import type { Want } from '../../src/deploy/want.ts';
import { withDueCommands } from '../../src/operations/commands.ts';
import { changedServices } from '../../src/operations/service-changes.ts';
import type { ModuleCommands, ServiceSpec } from '../../src/release.ts';

const test = suite('operations/service-changes');

const spec = (module: string, more: Partial<ServiceSpec> = {}): ServiceSpec => ({
  module,
  processName: module,
  restartOrder: undefined,
  unit: undefined,
  start: undefined,
  health: undefined,
  ...more,
});

const put = (module: string, target = `/opt/tope/${module}`): Step => ({
  ...{ kind: 'put', module, target, temp: `${target}.t`, backup: null, source: module, sizeBytes: 1 },
  ...{ mode: 0o755, uid: 0, gid: 0, md5: null, sha256: null },
});

function planOf(
  steps: readonly Step[],
  services: ServiceSpec[],
  servicesBefore: ServiceSpec[],
  reboot = false,
): Plan {
  return {
    ...{ format: 1, id: '20260101T000000000Z', kind: 'update', version: '2.0.0', previousVersion: '1.0.0' },
    ...{ startedMs: 0, modules: services.map(({ module }) => module), consumes: [], reboot },
    ...{ services, servicesBefore, steps },
  };
}

function changed(...given: Parameters<typeof planOf>): string[] {
  return namesOf(planOf(...given));
}

function namesOf(plan: Plan): string[] {
  return changedServices(plan).target.map(({ module }) => module);
}

const cases: [what: string, found: string[], expected: string[]][] = [
  ['a file of its module', changed([put('a')], [spec('a'), spec('b')], [spec('a'), spec('b')]), ['a']],
  ['nothing', changed([], [spec('a')], [spec('a')]), []],
  [
    'a file of another module of the same process',
    changed(
      [put('x')],
      [spec('a'), spec('x', { processName: 'a' })],
      [spec('a'), spec('x', { processName: 'a' })],
    ),
    ['a', 'x'],
  ],
  [
    'its unit file',
    changed(
      [put('units', '/etc/systemd/system/a.service')],
      [spec('a', { unit: 'a' })],
      [spec('a', { unit: 'a' })],
    ),
    ['a'],
  ],
  [
    'a drop-in of its unit',
    changed(
      [put('units', '/etc/systemd/system/a.service.d/x.conf')],
      [spec('a', { unit: 'a' })],
      [spec('a', { unit: 'a' })],
    ),
    ['a'],
  ],
  [
    'the template of its unit',
    changed(
      [put('units', '/etc/systemd/system/a@.service')],
      [spec('a', { unit: 'a@1' })],
      [spec('a', { unit: 'a@1' })],
    ),
    ['a'],
  ],
  ['its start', changed([], [spec('a', { start: ['/a', 'x'] })], [spec('a', { start: ['/a'] })]), ['a']],
  [
    'its health check',
    changed([], [spec('a', { health: { kind: 'tcp', port: 1, timeoutMs: 1 } })], [spec('a')]),
    ['a'],
  ],
  [
    'it is always restarted',
    changed([], [spec('a', { restart: 'always' })], [spec('a', { restart: 'always' })]),
    ['a'],
  ],
  ['nobody knows what it was', changed([], [spec('a')], []), ['a']],
  ['the machine restarts', changed([], [spec('a')], [spec('a')], true), ['a']],
];
for (const [what, found, expected] of cases)
  test(`a service is concerned where this changes: ${what}`, () => assert.equal(found, expected));

const commandsOf = (module: string, run = 'up'): PlannedCommands => ({
  ...{ module, version: '2.0.0', previousVersion: '1.0.0', timeoutMs: 1 },
  ...{ run: [['/bin/sh', '-c', run]], undo: [] },
});

const standing = (sha256: string): Want => ({
  ...{ kind: 'file', module: 'a', target: '/opt/tope/a', source: 'a', sizeBytes: 1, stands: true },
  ...{ mode: undefined, modeIsForced: false, owner: undefined, md5: undefined, sha256 },
});

/** The record of module a, whose one file and one command stand, and of others without commands. */
function recordOf(...specs: ServiceSpec[]): Recorded {
  const commands: ModuleCommands = { beforeStart: [['/bin/sh', '-c', 'up']], onUndo: [], timeoutMs: 1 };
  return {
    files: new Map([['/opt/tope/a', { sizeBytes: 1, sha256: 'as recorded' }]]),
    ...{ links: new Map(), directories: new Set() },
    modules: new Map(
      specs.map((service) => [service.module, { service, ...(service.module === 'a' && { commands }) }]),
    ),
  };
}

const silent = spec('a', { processName: undefined });
const always = spec('a', { restart: 'always' });
const due: [what: string, plan: Plan, recorded: Recorded, want: Want, runs: boolean, stops: boolean][] = [
  [
    'nothing',
    planOf([], [spec('a')], [spec('a')]),
    recordOf(spec('a')),
    standing('as recorded'),
    false,
    false,
  ],
  [
    'a file',
    planOf([put('a')], [spec('a')], [spec('a')]),
    recordOf(spec('a')),
    standing('as recorded'),
    true,
    true,
  ],
  [
    'somebody has put the file there',
    planOf([], [spec('a')], [spec('a')]),
    recordOf(spec('a')),
    standing('another'),
    true,
    true,
  ],
  [
    'its part of the record is unknown',
    planOf([], [spec('a')], []),
    recordOf(),
    standing('as recorded'),
    true,
    true,
  ],
  [
    'it is always restarted',
    planOf([], [always], [always]),
    recordOf(always),
    standing('as recorded'),
    true,
    true,
  ],
  [
    'nothing, and it has no service',
    planOf([], [silent], [silent]),
    recordOf(silent),
    standing('as recorded'),
    true,
    true,
  ],
  [
    'nothing, and the machine restarts',
    planOf([], [spec('a')], [spec('a')], true),
    recordOf(spec('a')),
    standing('as recorded'),
    false,
    true,
  ],
  [
    'a file of another module of its service',
    planOf(
      [put('x')],
      [spec('a'), spec('x', { processName: 'a' })],
      [spec('a'), spec('x', { processName: 'a' })],
    ),
    recordOf(spec('a'), spec('x', { processName: 'a' })),
    standing('as recorded'),
    ...([true, true] as const),
  ],
];
for (const [what, plan, recorded, want, runs, stops] of due)
  test(`commands of a module ${runs ? 'run' : 'do not run'} where this changes: ${what}`, async () => {
    const made = await withDueCommands({ ...plan, commands: [commandsOf('a')] }, recorded, [want]);
    assert.equal(made.commands, runs ? [commandsOf('a')] : undefined);
    assert.is(namesOf(made).includes('a'), stops);
  });

test('other commands than those of the record run, and their service is stopped for them', async () => {
  const plan = { ...planOf([], [spec('a')], [spec('a')]), commands: [commandsOf('a', 'another')] };
  const made = await withDueCommands(plan, recordOf(spec('a')), [standing('as recorded')]);
  assert.is(made.commands?.length, 1);
  assert.equal(namesOf(made), ['a']);
});

test('a rollback of commands that an earlier updater ran beside their service stops it', () => {
  const plan = { ...planOf([], [spec('a'), spec('b')], [spec('a'), spec('b')]), commands: [commandsOf('a')] };
  assert.equal(namesOf({ ...plan, kind: 'rollback' }), ['a']);
});

test('a plan of 0.1.0, which does not tell what was before, concerns every service', () => {
  const plan: Plan = {
    ...{ format: 1, id: 'x', kind: 'update', version: '2.0.0', previousVersion: null, startedMs: 0 },
    ...{ modules: ['a'], services: [spec('a')], reboot: false, consumes: [], steps: [] },
  };
  assert.equal(
    changedServices(plan).target.map(({ module }) => module),
    ['a'],
  );
});

test.run();
