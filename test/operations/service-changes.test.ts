/** Which services a plan has to do with: those whose files, unit or description change, and no others. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Plan, Step } from '../../src/deploy/plan.ts';
import { changedServices } from '../../src/operations/service-changes.ts';
import type { ServiceSpec } from '../../src/release.ts';

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

function changed(
  steps: readonly Step[],
  services: ServiceSpec[],
  servicesBefore: ServiceSpec[],
  reboot = false,
): string[] {
  const plan: Plan = {
    ...{ format: 1, id: '20260101T000000000Z', kind: 'update', version: '2.0.0', previousVersion: '1.0.0' },
    ...{ startedMs: 0, modules: services.map(({ module }) => module), consumes: [], reboot },
    ...{ services, servicesBefore, steps },
  };
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
