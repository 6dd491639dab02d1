/** `before_start` and `on_undo` (spec section 10) in whole updates: when they run, and what takes them back. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { PackageSpec } from '../fixtures/package-builder.ts';
import { concurrently } from '../runner/concurrently.ts';
import { until } from './daemon.ts';
import { type Device, withDevice } from './harness.ts';
import { dataOnly, installed, rolledBack } from './updates.ts';

const tests = concurrently('commands');

const ledgerOf = (device: Device) => join(device.folder, 'ledger');

/** What the commands have written, each line with the last thing that a service did before. */
function ledger(device: Device): string[] {
  return existsSync(ledgerOf(device)) ? readFileSync(ledgerOf(device), 'utf8').trim().split('\n') : [];
}

/** alpha with a migration; `more` are further keys of it. */
function migrating(device: Device, version: string, more: object = {}): PackageSpec {
  const note = (word: string) =>
    `echo "${word} $TOPE_MODULE $TOPE_VERSION after $TOPE_PREVIOUS_VERSION, $TOPE_KIND" >> ${ledgerOf(device)}`;
  const usual = device.usual(version);
  const keys = { before_start: [note('up')], on_undo: [['/bin/sh', '-c', note('down')]], ...more };
  const modules = usual.modules.map((module) => (module.name === 'alpha' ? { ...module, ...keys } : module));
  return { ...usual, modules };
}

tests('before_start runs on the new files, before any service of the update starts', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const seen = join(device.folder, 'seen');
    const look = `tail -n 1 ${join(device.folder, 'events')} > ${seen}; cat ${device.dataFile} >> ${seen}`;
    await installed(device, daemon, migrating(device, '2.0.0', { before_start: [look] }));
    assert.match(readFileSync(seen, 'utf8'), /^stop .*\n.*2\.0\.0/);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
  }),
);

tests(
  'what commands have written is made durable before the update counts, and so is what takes it back',
  () =>
    withDevice(async (device) => {
      const tools = join(device.folder, 'tools');
      mkdirSync(tools);
      const journal = join(device.work, 'backups/journal');
      const script = `#!/bin/sh\necho "sync, committed $(grep -c committed ${journal}), undone $(grep -c '\\"undone' ${journal})" >> ${ledgerOf(device)}\nexec /bin/sync\n`;
      writeFileSync(join(tools, 'sync'), script, { mode: 0o755 });
      const daemon = await device.start([], { PATH: `${tools}:${process.env.PATH}` });
      await installed(device, daemon, migrating(device, '2.0.0'));
      const spec = migrating(device, '3.0.0', { health: { exec: ['/bin/false'], timeout_s: 0.1 } });
      assert.is((await device.install(daemon, spec)).stage, 'failed');
      await installed(device, daemon, dataOnly(device, '4.0.0'));
      const sync = 'sync, committed 0, undone 0';
      const lines = ledger(device).map((line) => line.replace(/ after .*/, ''));
      assert.equal(lines, ['up alpha 2.0.0', sync, 'up alpha 3.0.0', sync, 'down alpha 3.0.0', sync]);
    }),
);

tests.long('post_cmds is another name for it', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const spec = migrating(device, '2.0.0', { before_start: undefined, on_undo: undefined });
    const modules = spec.modules.map((module) => ({
      ...module,
      post_cmds: [`echo $TOPE_MODULE >> ${ledgerOf(device)}`],
    }));
    await installed(device, daemon, { ...spec, modules });
    assert.equal(ledger(device), ['alpha', 'beta', 'data']);
  }),
);

tests('one that fails undoes the update, and on_undo takes back what had begun', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const before = device.files();
    const half = `echo half >> ${ledgerOf(device)}; echo "disk of cheese" >&2; exit 7`;
    const spec = migrating(device, '2.0.0', { before_start: [half] });
    const { stage, error } = await device.install(daemon, spec);
    assert.is(stage, 'failed');
    assert.match(error ?? '', /^DEPLOYMENT_FAILED: alpha: .*: exit status 7: disk of cheese$/);
    assert.equal(ledger(device), ['half', 'down alpha 2.0.0 after , install']);
    assert.equal(device.files(), before);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }),
);

tests.long('an on_undo that fails is told, and everything is put back all the same', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    const spec = migrating(device, '2.0.0', { before_start: ['exit 1'], on_undo: ['echo oh no; exit 2'] });
    const { error } = await device.install(daemon, spec);
    assert.match(error ?? '', /exit status 1; then, all is put back, .*exit status 2: oh no$/);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }),
);

/** The same files as of another version, with digests: they stand. */
function standing(device: Device, version: string, of: string, more: object = {}): PackageSpec {
  const { modules } = migrating(device, version, more);
  return { ...migrating(device, of), version, modules, withDigests: true };
}

tests.long('commands of a service of which nothing changes do not run, and it runs on', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, standing(device, '2.0.0', '2.0.0'));
    const events = device.events();
    const next = standing(device, '2.1.0', '2.0.0');
    await installed(device, daemon, { ...next, files: { ...next.files, 'modules/model.bin': 'another' } });
    await installed(device, daemon, next);
    await rolledBack(daemon, '2.1.0');
    assert.equal(ledger(device), ['up alpha 2.0.0 after , install']);
    assert.equal(device.events(), events);
  }),
);

tests.long(
  'commands that are others than before run while their service is down, and so does what takes them back',
  () =>
    withDevice(async (device) => {
      const daemon = await device.start();
      await installed(device, daemon, standing(device, '2.0.0', '2.0.0'));
      const before = device.events().length;
      const note = (word: string) =>
        `echo ${word} $(tail -n 1 ${join(device.folder, 'events')}) >> ${ledgerOf(device)}`;
      const other = { before_start: [note('up')], on_undo: [note('down')] };
      await installed(device, daemon, standing(device, '2.1.0', '2.0.0', other));
      await rolledBack(daemon);
      const turn = ['stop alpha 2.0.0', 'start alpha 2.0.0'];
      assert.equal(device.events().slice(before), [...turn, ...turn]);
      const [, up, down] = ledger(device);
      assert.match(up ?? '', /^up stop alpha/);
      assert.match(down ?? '', /^down stop alpha/);
    }),
);

tests.long('commands know the update that they belong to: run again, undone, taken back or repaired', () =>
  withDevice(async (device) => {
    const note = (word: string) => `echo ${word} $TOPE_UPDATE >> ${ledgerOf(device)}`;
    const keys = { before_start: [note('up')], on_undo: [note('down')] };
    const daemon = await device.start(['--keep-package']);
    await installed(device, daemon, migrating(device, '2.0.0', keys));
    writeFileSync(device.program('alpha'), 'rotten');
    assert.is((await daemon.post('audit', { repair: true })).code, 200);
    assert.is((await daemon.reach('success', 'failed')).stage, 'success');
    const failing = { ...keys, health: { exec: ['/bin/false'], timeout_s: 0.1 } };
    assert.is((await device.install(daemon, migrating(device, '3.0.0', failing))).stage, 'failed');
    await rolledBack(daemon);
    await installed(device, daemon, migrating(device, '2.0.0', keys));
    const words = ledger(device).map((line) => line.split(' '));
    assert.equal(
      words.map(([word]) => word),
      ['up', 'up', 'up', 'down', 'down', 'up'],
    );
    const [first, repaired, third, undone, back, again] = words.map(([, id = '']) => id);
    assert.match(first ?? '', /^\d{8}T\d{9}Z$/);
    assert.equal([repaired, back, undone], [first, first, third]);
    assert.is(new Set([first, third, again]).size, 3);
  }),
);

tests.long('a rollback over several updates takes back each, the newest first', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await installed(device, daemon, migrating(device, '2.0.0'));
    await installed(device, daemon, migrating(device, '3.0.0'));
    await rolledBack(daemon, '2.0.0');
    assert.equal(ledger(device), [
      'up alpha 2.0.0 after , install',
      'up alpha 3.0.0 after 2.0.0, install',
      'down alpha 3.0.0 after 2.0.0, rollback',
      'down alpha 2.0.0 after , rollback',
    ]);
    assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  }),
);

tests.long('a repair runs the commands of the module that it repairs', () =>
  withDevice(async (device) => {
    const daemon = await device.start(['--keep-package']);
    await installed(device, daemon, migrating(device, '2.0.0'));
    writeFileSync(device.program('alpha'), 'rotten');
    assert.is((await daemon.post('audit', { repair: true })).code, 200);
    const { stage, error } = await daemon.reach('success', 'failed');
    assert.is(stage, 'success', error ?? '');
    assert.equal(ledger(device), ['up alpha 2.0.0 after , install', 'up alpha 2.0.0 after 2.0.0, repair']);
  }),
);

tests.long('a daemon that is stopped or killed in mid-command runs it again at its next start', async () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await withDevice(async (device) => {
      const hang = join(device.folder, 'hang');
      writeFileSync(hang, '');
      const note = (word: string) => `echo ${word} $$ >> ${ledgerOf(device)}`;
      const command = `${note('run')}; while [ -e ${hang} ]; do sleep 0.1; done; ${note('end')}`;
      const daemon = await device.start();
      const spec = migrating(device, '2.0.0', { before_start: [command] });
      const request = await device.offer(spec);
      await daemon.post('download', request);
      await daemon.reach('toInstall');
      await daemon.post('update', { version: '2.0.0' });
      await until('the command runs', () => ledger(device).length === 1);
      await daemon.end(signal);
      const next = await device.start();
      await until('the command runs again', () => ledger(device).length === 2);
      rmSync(hang);
      assert.is((await next.reach('success', 'failed')).stage, 'success');
      const [first, again, ...others] = ledger(device).map((line) => line.split(' '));
      // The one that was cut has not gone on beside it.
      assert.equal([first?.[0], again?.[0], others], ['run', 'run', [['end', again?.[1]]]]);
    });
  }
});

tests.run();
