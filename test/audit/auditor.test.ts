/** When audits run by themselves, how they give way, and what is left of them; on a real disk with scripted time. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { audit } from '../../src/audit/audit.ts';
import { type Auditor, createAuditor } from '../../src/audit/auditor.ts';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Clock, Files } from '../../src/host/host.ts';
import { limits } from '../../src/limits.ts';
import { type Device, device } from '../deploy/rig.ts';
import { putRecord } from '../fixtures/put-record.ts';
import { type ScriptedHost, scriptedHost } from '../powercut/scripted-host.ts';

interface Context {
  d: Device;
}
const test = suite<Context>('auditor', {} as Context);
test.before.each(async (context) => {
  const d = device();
  context.d = d;
  mkdirSync(join(d.root, 'work/logs'));
  const id = '20260101T000000000Z';
  const service = { module: 'app', processName: undefined, restartOrder: undefined, unit: undefined };
  const module = { ...service, start: undefined, health: undefined };
  const facts = { entry: 'app', sizeBytes: 5_000_000, mode: 0o644, uid: 0, gid: 0, sha256: '' };
  await putRecord(
    realFiles(),
    d.backups,
    { kind: 'header', format: 1, id, version: '1.0.0', package: { sizeBytes: 1, md5: '', sha256: null } },
    [
      { kind: 'module', name: 'app', id, tree: null, service: module },
      { kind: 'file', module: 'app', path: d.put('targets/app', 'x'.repeat(5_000_000)), ...facts },
    ],
  );
});
test.after.each(({ d }) => d.remove());

const hourMs = 3_600_000;

interface Life {
  readonly host: ScriptedHost;
  readonly auditor: Auditor;
  /** What it slept, in ms. */
  readonly slept: () => number;
  readonly setBusy: (isBusy: boolean) => void;
  /** Moves the clock and lets what was due come to its end. */
  readonly pass: (ms: number) => Promise<void>;
}

async function begin(d: Device, intervalMs: number | undefined): Promise<Life> {
  const host = scriptedHost(realFiles(), {
    healthStatus: 0,
    answersReports: true,
    programs: [],
    bootId: 'boot-1',
    bornMs: 0,
    onReboot: () => undefined,
    stubborn: [],
    breaksAfterBytes: undefined,
    onAsked: () => undefined,
    onProgram: () => undefined,
    onCommand: () => undefined,
    download: undefined,
    onReport: () => undefined,
  });
  let sleptMs = 0;
  const clock: Clock = {
    ...host.clock,
    sleep: (ms, signal) => {
      sleptMs += ms;
      return host.clock.sleep(ms, signal);
    },
  };
  let busy = false;
  const options = { workDirectory: join(d.root, 'work'), intervalMs, mayBegin: () => !busy };
  const auditor = createAuditor({ ...host, clock }, options);
  await auditor.open();
  return {
    host,
    auditor,
    slept: () => sleptMs,
    setBusy: (isBusy) => {
      busy = isBusy;
    },
    pass: async (ms) => {
      host.advance(ms);
      await auditor.settled();
    },
  };
}

const endOf = ({ auditor }: Life) => auditor.state().report?.ended_at;

test('without an interval none runs by itself', async ({ d }) => {
  const life = await begin(d, undefined);
  await life.pass(100 * hourMs);
  assert.equal(life.auditor.state(), { running: false, files: 0, report: null });
});

test('the first comes ten minutes after the start, the next an interval after its end, each slowly', async ({
  d,
}) => {
  const life = await begin(d, 24 * hourMs);
  await life.pass(limits.auditStartMs - 1);
  assert.is(endOf(life), undefined);
  await life.pass(1);
  const first = endOf(life);
  assert.is(life.auditor.state().report?.differing, 1, 'the digest is none');
  // 5 MB at 4 MiB a second.
  assert.ok(life.slept() > 1_000 && life.slept() < 2_000, `${life.slept()} ms`);
  await life.pass(23 * hourMs);
  assert.is(endOf(life), first);
  await life.pass(hourMs);
  assert.is.not(endOf(life), first);
});

test('a device that was off meanwhile makes up for it, one that was restarted does not begin anew', async ({
  d,
}) => {
  const before = await begin(d, 24 * hourMs);
  await before.pass(limits.auditStartMs);
  const first = endOf(before);
  await before.auditor.close();

  const restarted = await begin(d, 24 * hourMs);
  assert.is(endOf(restarted), first, 'the report outlives a restart');
  await restarted.pass(23 * hourMs);
  assert.is(endOf(restarted), first);
  await restarted.pass(hourMs + limits.auditStartMs);
  assert.is.not(endOf(restarted), first);
});

test('while other work is done it is put off, not forgotten', async ({ d }) => {
  const life = await begin(d, 24 * hourMs);
  life.setBusy(true);
  await life.pass(limits.auditStartMs);
  assert.is(endOf(life), undefined);
  life.setBusy(false);
  await life.pass(limits.auditIntervalLeastMs);
  assert.ok(endOf(life));
});

test('one that is given up leaves the last report as it was, and another may begin', async ({ d }) => {
  const life = await begin(d, undefined);
  await life.auditor.begin();
  assert.ok(life.auditor.state().running);
  await life.auditor.cancel();
  assert.equal(life.auditor.state(), { running: false, files: 0, report: null });
  await life.auditor.begin();
  await life.auditor.settled();
  assert.is(life.auditor.state().report?.files, 1);
  assert.is(life.slept(), 0, 'who asks does not wait');
});

test('one that was asked for takes the place of a slow one', async ({ d }) => {
  const life = await begin(d, 24 * hourMs);
  life.host.advance(limits.auditStartMs);
  assert.ok(life.auditor.state().running);
  await life.auditor.begin();
  await life.auditor.settled();
  assert.is(life.auditor.state().report?.files, 1);
});

test('without a record: the report says so, and what to do', async ({ d }) => {
  rmSync(d.backups, { recursive: true });
  mkdirSync(d.backups);
  const life = await begin(d, undefined);
  await life.auditor.begin();
  await life.auditor.settled();
  assert.match(life.auditor.state().report?.unknown ?? '', /no record .* the next install makes one/);
});

test('a report that cannot be read, or not be written, is none; the audit goes on', async ({ d }) => {
  const path = join(d.root, 'work/logs/audit.json');
  writeFileSync(path, '{"version": 1}');
  const life = await begin(d, undefined);
  assert.is(life.auditor.state().report, null);
  await life.auditor.begin();
  await life.auditor.settled();
  assert.is(JSON.parse(readFileSync(path, 'utf8')).files, 1);
  rmSync(join(d.root, 'work/logs'), { recursive: true });
  await life.auditor.begin();
  await life.auditor.settled();
  assert.not.ok(existsSync(path));
  assert.is(life.auditor.state().report?.files, 1);
});

test('many files are read beside each other, and told of in the order of the record', async ({ d }) => {
  const module = { module: 'app', processName: undefined, restartOrder: undefined, unit: undefined };
  const service = { ...module, start: undefined, health: undefined };
  const paths = Array.from({ length: 60 }, (_, index) => d.put(`targets/many/${index}`, `${index}`));
  const facts = { entry: 'app', mode: 0o644, uid: 0, gid: 0, sha256: '' };
  const id = '20260102T000000000Z';
  await putRecord(
    realFiles(),
    d.backups,
    { kind: 'header', format: 1, id, version: '1.0.0', package: { sizeBytes: 1, md5: '', sha256: null } },
    [
      { kind: 'module', name: 'app', id, tree: null, service },
      ...paths.map((path, index) => {
        const sizeBytes = `${index}`.length;
        return { kind: 'file', module: 'app', path, sizeBytes, ...facts } as const;
      }),
    ],
  );
  let [open, most] = [0, 0];
  const real = realFiles();
  const files: Files = {
    ...real,
    open: async (path, how) => {
      const file = await real.open(path, how);
      most = Math.max(most, ++open);
      return {
        ...file,
        close: () => {
          open -= 1;
          return file.close();
        },
      };
    },
  };
  const options = { signal: new AbortController().signal, pace: () => undefined, onFile: () => undefined };
  const found = await audit({ files, clock: realClock() }, d.backups, options);
  assert.equal(
    found.damages.map(({ file }) => file.path),
    paths,
  );
  // The record is open, too.
  assert.ok(most > 8 && most <= limits.filesInFlight + 1, `${most} at a time`);
  assert.is(open, 0);
});

test.run();
