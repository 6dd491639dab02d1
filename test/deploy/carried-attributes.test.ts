/**
 * Capabilities, access lists and attributes of a replaced file: what goes over to the new one, what does not, and that all of it comes
 * back. With node:ffi where this Node has it, else by getfattr and setfattr; what stands is asked of the system's programs.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { accessList, capability } from '../../src/attribute-kinds.ts';
import { capabilitiesValue } from '../../src/capabilities.ts';
import { saveBackups } from '../../src/deploy/backup.ts';
import { createComparer } from '../../src/deploy/compare.ts';
import type { DeployedFile } from '../../src/deploy/deployed-record.ts';
import { makePlan } from '../../src/deploy/make-plan.ts';
import { newAttributes } from '../../src/deploy/new-attributes.ts';
import { wantsOfRollback } from '../../src/deploy/past-updates.ts';
import type { Plan } from '../../src/deploy/plan.ts';
import { withPlanGroup } from '../../src/deploy/plan-group.ts';
import { stageBackups } from '../../src/deploy/stage.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { surveyWants } from '../../src/deploy/survey.ts';
import { clearAway, switchTargets } from '../../src/deploy/switch.ts';
import { restoreTargets } from '../../src/deploy/undo.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import type { ReleaseFile, ReleaseModule } from '../../src/release.ts';
import { attributesOf, output } from '../fixtures/file-attributes.ts';
import { moduleOf, planFor, prepare } from './parts.ts';
import { type Device, device } from './rig.ts';

const test = suite('attributes of a replaced file');

const netRaw = made('cap_net_raw+ep');

function made(text: string): string {
  const found = capabilitiesValue(text);
  if ('fault' in found) throw new Error(found.fault);
  return found.value;
}

/** A list of entries [tag, permissions, id]. */
function listOf(...entries: readonly (readonly [number, number, number?])[]): string {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [index, [tag, bits, id = 0xffffffff]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(bits, 6 + 8 * index);
    bytes.writeUInt32LE(id, 8 + 8 * index);
  }
  return bytes.toString('base64');
}

const root = { uid: 0, gid: 0 };

test('capabilities go over to a file of the same owner that nobody else may execute, else they stay behind', () => {
  const old = { values: { [capability]: netRaw }, dress: { mode: 0o750, ...root } };
  const go = (to: { mode: number; uid: number; gid: number }) => newAttributes(old, {}, to);
  assert.equal(go({ mode: 0o750, ...root }).values, { [capability]: netRaw });
  assert.equal(go({ mode: 0o640, ...root }).values, { [capability]: netRaw });
  assert.equal(go({ mode: 0o755, ...root }).values, {});
  assert.match(go({ mode: 0o755, ...root }).left.get(capability) ?? '', /more users may execute/);
  assert.equal(go({ mode: 0o750, uid: 0, gid: 7 }).values, {});
  const stated = newAttributes(old, { [capability]: made('cap_chown=p') }, { mode: 0o4755, uid: 5, gid: 5 });
  assert.equal(stated.values, { [capability]: made('cap_chown=p') });
  assert.is(stated.left.size, 0);
});

test('an access list stays as it is with the mode, else it lets nobody in whom its mask or the new mode keeps out', () => {
  const list = listOf([0x01, 6], [0x02, 7, 1000], [0x04, 0], [0x08, 6, 50], [0x10, 4], [0x20, 0]);
  const old = { values: { [accessList]: list, 'user.note': 'eA==' }, dress: { mode: 0o600, ...root } };
  const go = (mode: number, uid = 0) => newAttributes(old, {}, { mode, uid, gid: 0 }).values;
  assert.equal(go(0o600), old.values);
  assert.is(go(0o4600)[accessList], list);
  assert.is(
    go(0o664)[accessList],
    listOf([0x01, 6], [0x02, 4, 1000], [0x04, 6], [0x08, 4, 50], [0x10, 6], [0x20, 4]),
  );
  assert.equal(go(0o600, 1000), { 'user.note': 'eA==' });
});

/** Undefined where it worked, else why not. */
function run(...argv: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr);
}

/** With the mode. */
function dressOf(path: string): string {
  return `${attributesOf(path)} ${(statSync(path).mode & 0o7777).toString(8)}`;
}

const old = 'cap_net_raw=ep user:1234:r-x factory 750';

/** A program with all three kinds, changed long ago. */
function putDressed(d: Device, name: string): string {
  const path = d.put(`targets/${name}`, 'old', 0o750);
  for (const argv of [
    ['setfacl', '-m', 'u:1234:rx', path],
    ['setcap', 'cap_net_raw+ep', path],
    ['setfattr', '-n', 'user.note', '-v', 'factory', path],
  ])
    execFileSync(argv[0] ?? '', argv.slice(1));
  utimesSync(path, 1_000_000_000, 1_000_000_000.25);
  return path;
}

function programOf(d: Device, name: string, change: Partial<ReleaseFile> = {}): ReleaseModule {
  const module = moduleOf(d, name, { '': 'new' }, false);
  return { ...module, files: [...module.files].map((file) => ({ ...file, ...change })) };
}

async function install(d: Device, ...modules: ReleaseModule[]): Promise<Plan> {
  const plan = await planFor(d, modules);
  await prepare(d, plan);
  await switchTargets(d.host, plan);
  return plan;
}

/** Nothing of an install is left: the next one has the same names. */
async function tidy(d: Device, plan: Plan): Promise<void> {
  await clearAway(d.host, plan, false);
  for (const name of readdirSync(d.backups)) rmSync(join(d.backups, name), { recursive: true });
}

async function rollBack(d: Device, plan: Plan): Promise<void> {
  const wants = await wantsOfRollback(d.host.files, [plan]);
  const facts = await surveyWants(d.host.files, wants, root);
  const header = { ...plan, id: '20261124T200000000Z', kind: 'rollback', consumes: [plan.id] } as const;
  const roots = { backupDirectory: d.backups, moduleRoots: new Map() };
  const back = await makePlan({ ...header, ...roots }, wants, facts, await openSteps());
  await withPlanGroup(d.host.files, back, [d.backups], 'DEPLOYMENT_FAILED', async (group) => {
    await stageBackups(d.host, back, group);
    return saveBackups(d.host, d.backups, back, group);
  });
  await switchTargets(d.host, back);
}

const warnings = (d: Device) => d.logged.filter((line) => line.startsWith('warn'));

function whatIsMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const d = device();
  try {
    return (
      run('getfattr', '--version') ?? run('setfacl', '--version') ?? (putDressed(d, 'probe') && undefined)
    );
  } catch (thrown) {
    return String(thrown);
  } finally {
    d.remove();
  }
}

const missing = whatIsMissing();
if (missing !== undefined) console.log(`skipped: attributes on this disk: ${missing}`);
const onDisk = missing === undefined ? test : test.skip;

/** A device in whose targets only root can change names. */
async function withDevice(action: (d: Device) => Promise<void>, files?: Files): Promise<void> {
  const d = device(files);
  try {
    await action(d);
  } finally {
    d.remove();
  }
}

onDisk('all go over, and come back with an undo, with the time of the last change', () =>
  withDevice(async (d) => {
    const path = putDressed(d, 'ping');
    const plan = await install(d, programOf(d, 'ping'));
    assert.is(readFileSync(path, 'utf8'), 'new');
    assert.is(dressOf(path), old);
    execFileSync('setcap', ['-r', path]);
    execFileSync('setfacl', ['-b', path]);
    await restoreTargets(d.host, plan);
    assert.is(readFileSync(path, 'utf8'), 'old');
    assert.is(dressOf(path), old);
    assert.is(statSync(path).mtimeMs, 1_000_000_000_250);
    assert.equal(warnings(d), []);
  }),
);

onDisk('they come back with a rollback, also where the backups are on another filesystem', () =>
  withDevice(async (d) => {
    const isMounted = run('mount', '-t', 'tmpfs', 'tmpfs', d.backups) === undefined;
    if (!isMounted) console.log('skipped: backups on another filesystem: cannot mount');
    try {
      const path = putDressed(d, 'ping');
      const plain = d.put('targets/plain', 'old');
      const plan = await install(
        d,
        programOf(d, 'ping', { dropsAttributes: true, capabilities: made('cap_chown+ep') }),
        programOf(d, 'plain'),
      );
      assert.is(dressOf(path), 'cap_chown=ep - - 750');
      await rollBack(d, plan);
      assert.is(readFileSync(path, 'utf8'), 'old');
      assert.is(dressOf(path), old);
      assert.is(statSync(path).mtimeMs, 1_000_000_000_250);
      assert.is(dressOf(plain), '- - - 644');
      assert.equal(warnings(d), []);
    } finally {
      if (isMounted) execFileSync('umount', ['-l', d.backups]);
    }
  }),
);

/** ramfs keeps files and nothing beside them, and does not count its room. */
const roomy: Files = {
  ...realFiles(),
  space: async () => ({ device: 1n, freeBytes: 2 ** 30, blockBytes: 4096 }),
};

onDisk('a backup that cannot hold them is told before anything is switched, and fails nothing', () =>
  withDevice(async (d) => {
    if (run('mount', '-t', 'ramfs', 'ramfs', d.backups) !== undefined) {
      console.log('skipped: a filesystem without attributes: cannot mount');
      return;
    }
    try {
      const path = putDressed(d, 'ping');
      const plan = await planFor(d, [programOf(d, 'ping')]);
      await prepare(d, plan);
      assert.match(warnings(d).join(), /ping has .*, which its backup .* cannot hold/);
      await switchTargets(d.host, plan);
      assert.is(dressOf(path), old);
      await restoreTargets(d.host, plan);
      assert.is(dressOf(path), old);
    } finally {
      execFileSync('umount', ['-l', d.backups]);
    }
  }, roomy),
);

onDisk('a target that cannot hold what the package states is told by its path, and deployed', () =>
  withDevice(async (d) => {
    mkdirSync(join(d.targets, 'bare'));
    if (run('mount', '-t', 'ramfs', 'ramfs', join(d.targets, 'bare')) !== undefined) {
      console.log('skipped: a filesystem without attributes: cannot mount');
      return;
    }
    try {
      await install(d, programOf(d, 'bare/ping', { capabilities: netRaw }));
      assert.is(readFileSync(join(d.targets, 'bare/ping'), 'utf8'), 'new');
      assert.match(warnings(d).join(), /bare\/ping is to have capabilities .* its filesystem cannot hold/);
    } finally {
      execFileSync('umount', ['-l', join(d.targets, 'bare')]);
    }
  }, roomy),
);

onDisk(
  'a program that stands already gets its capabilities where the package states others, else is left alone',
  () =>
    withDevice(async (d) => {
      const path = putDressed(d, 'ping');
      const sha256 = output('sha256sum', path).slice(0, 64);
      const standing = (change: Partial<ReleaseFile>) => {
        const module = moduleOf(d, 'ping', { '': 'old' }, false);
        return { ...module, files: [...module.files].map((file) => ({ ...file, sha256, ...change })) };
      };
      for (const change of [{}, { capabilities: netRaw }])
        assert.is((await planFor(d, [standing(change)])).steps.length, 0);
      await tidy(d, await install(d, standing({ capabilities: made('cap_chown+ep') })));
      assert.is(dressOf(path), old.replace('cap_net_raw', 'cap_chown'));
      await tidy(d, await install(d, standing({ dropsAttributes: true })));
      assert.is(dressOf(path), '- - - 750');
      assert.is((await planFor(d, [standing({ dropsAttributes: true })])).steps.length, 0);
    }),
);

onDisk('capabilities of a file that a service could have put there stay behind, with a word', () =>
  withDevice(async (d) => {
    for (const path of [d.root, d.targets]) chmodSync(path, 0o755);
    const path = putDressed(d, 'service/ping');
    const [uid, gid] = [65534, 65533];
    chownSync(join(d.targets, 'service'), uid, gid);
    await tidy(d, await install(d, programOf(d, 'service/ping')));
    assert.is(dressOf(path), old.replace('cap_net_raw=ep', '-'));
    assert.match(
      warnings(d).join(),
      /has capabilities \(setcap\), which .*: somebody else .*service belongs to user 65534/,
    );
    const listed = putDressed(d, 'listed/ping');
    execFileSync('setfacl', ['-m', `u:${uid}:rwx`, join(d.targets, 'listed')]);
    await tidy(d, await install(d, programOf(d, 'listed/ping')));
    assert.is(dressOf(listed), old.replace('cap_net_raw=ep', '-'));
    assert.match(warnings(d).join(), /somebody else .*listed has an access list/);
    const own = putDressed(d, 'service/own');
    chownSync(own, uid, gid);
    execFileSync('setcap', ['cap_net_raw+ep', own]);
    await install(d, programOf(d, 'service/own'));
    assert.is(dressOf(own), old);
  }),
);

onDisk(
  'a new file does not keep what the list of its directory gives, where the one before it had none',
  () =>
    withDevice(async (d) => {
      const path = putDressed(d, 'box/ping');
      execFileSync('setfacl', ['-b', path]);
      execFileSync('setfacl', ['-d', '-m', 'u:4321:rwx', join(d.targets, 'box')]);
      await install(d, programOf(d, 'box/ping'));
      assert.is(dressOf(path), 'cap_net_raw=ep - factory 750');
    }),
);

onDisk('an audit tells in words what is missing', () =>
  withDevice(async (d) => {
    const path = putDressed(d, 'ping');
    const file = await d.host.files.open(path, 'read');
    const { values } = await file.attributes().finally(() => file.close());
    const { 'user.note': _, ...recorded } = values;
    const { mode, uid, gid } = (await d.host.files.stat(path)) ?? { mode: 0, uid: 0, gid: 0 };
    const facts = {
      kind: 'file',
      module: 'ping',
      path,
      entry: 'ping',
      sizeBytes: 3,
      mode,
      uid,
      gid,
    } as const;
    const deployed: DeployedFile = {
      ...facts,
      sha256: output('sha256sum', path).slice(0, 64),
      attributes: recorded,
    };
    const { signal } = new AbortController();
    const comparer = createComparer(d.host.files, { signal, pace: () => undefined });
    assert.is(await comparer.file(deployed), undefined);
    execFileSync('setcap', ['cap_chown+ep', path]);
    execFileSync('setfacl', ['-m', 'u:1234:r', path]);
    assert.equal(await comparer.file(deployed), {
      kind: 'attributes',
      text: 'has the capabilities cap_chown=ep, cap_net_raw=ep was deployed; has another access list (ACL) than was deployed',
    });
    rmSync(path);
    d.put('targets/ping', 'old', 0o750);
    assert.equal(await comparer.file(deployed), {
      kind: 'attributes',
      text: 'has no capabilities, cap_net_raw=ep was deployed; has no access list (ACL), one was deployed',
    });
  }),
);

test.run();
