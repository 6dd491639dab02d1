import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type DecodedJournal,
  encodeRecord,
  firstRecordText,
  type JournalRecord,
} from '../../src/deploy/journal.ts';
import {
  beginJournal,
  checkPlanLength,
  continueJournal,
  journalPath,
  readJournal,
  readJournalHead,
} from '../../src/deploy/journal-file.ts';
import { decodeJournal } from '../../src/deploy/journal-reader.ts';
import type { Plan } from '../../src/deploy/plan.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { realClock } from '../../src/host/clock.ts';
import { limits } from '../../src/limits.ts';
import { device } from './rig.ts';

const digest = (text: string) => createHash('sha256').update(text).digest('hex');
/** What bytes say that come in parts of so many; the plan's steps as an array. */
async function decoded(bytes: Uint8Array, partBytes = bytes.length): Promise<DecodedJournal> {
  const parts = [];
  for (let at = 0; at < bytes.length; at += partBytes) parts.push(bytes.subarray(at, at + partBytes));
  const found = await decodeJournal(parts, createHash, await openSteps());
  if (found.kind !== 'journal') return found;
  const { journal } = found;
  return { ...found, journal: { ...journal, plan: { ...journal.plan, steps: [...journal.plan.steps] } } };
}

const plan: Plan = {
  format: 1,
  id: '20261123T200000000Z',
  kind: 'update',
  version: '2.0.0',
  previousVersion: null,
  startedMs: 5,
  modules: ['a'],
  services: [],
  consumes: [],
  reboot: false,
  steps: [{ kind: 'makeDirectory', target: '/opt/tope/ä', mode: 0o755, uid: 0, gid: 0 }],
};
const records: JournalRecord[] = [
  { state: 'staging', plan },
  { state: 'staged' },
  { state: 'stopping', services: [{ module: 'a' }] },
  { state: 'switching' },
  { state: 'undoing', error: 'HEALTH_CHECK_FAILED: no' },
];
const encoded = records.map((record) => encodeRecord(record, digest));
const ends = encoded.map((_, index) =>
  encoded.slice(0, index + 1).reduce((sum, part) => sum + part.length, 0),
);
const whole = Buffer.concat(encoded);
const padded = Buffer.concat([whole, Buffer.alloc(100)]);

test('what was written is read back, with or without the padding behind it, in parts of any size', async () => {
  for (const [bytes, partBytes] of [
    [whole, whole.length],
    [padded, padded.length],
    [padded, 1],
    [padded, 7],
    [padded, 100],
  ] as const) {
    assert.equal(await decoded(bytes, partBytes), {
      kind: 'journal',
      journal: {
        plan,
        state: 'undoing',
        services: [{ module: 'a' }],
        bootId: undefined,
        begun: 0,
        error: 'HEALTH_CHECK_FAILED: no',
        durable: ends[0],
        endOffset: whole.length,
      },
    });
  }
});

test('cut at any byte, the last whole record counts', async () => {
  for (let length = 0; length < whole.length; length++) {
    for (const bytes of [
      whole.subarray(0, length),
      Buffer.concat([whole.subarray(0, length), Buffer.alloc(50)]),
    ]) {
      const found = await decoded(bytes);
      const complete = ends.filter((end) => end <= length).length;
      const state = found.kind === 'journal' ? found.journal.state : found.kind;
      assert.is(state, records[complete - 1]?.state ?? 'empty', `cut at ${length}`);
    }
  }
});

test('any flipped bit is a torn tail in the last record and damage before it', async () => {
  const lastStart = ends.at(-2) ?? 0;
  for (let index = 0; index < whole.length; index++) {
    for (const bit of [1, 0x20, 0x80]) {
      const bytes = Buffer.from(padded);
      bytes[index] = (bytes[index] ?? 0) ^ bit;
      const found = await decoded(bytes);
      // Without the line end before it, the last record is no line of its own: both read as one torn tail.
      if (index === lastStart - 1) assert.is(found.kind === 'journal' && found.journal.state, 'stopping');
      else if (index < lastStart) assert.is(found.kind, 'damaged', `byte ${index}`);
      else assert.is(found.kind === 'journal' && found.journal.state, 'switching', `byte ${index}`);
    }
  }
});

test('a power cut may take what was only noted, and leave the record behind it whose sync never returned', async () => {
  const d = device();
  try {
    const first = await beginJournal(d.host, d.backups, plan);
    const path = journalPath(d.backups);
    const lost = { from: readFileSync(path).indexOf(0), to: 0 };
    await first.note({ state: 'stopping', services: [{ module: 'a'.repeat(5000) }] });
    lost.to = readFileSync(path).indexOf(0);
    await first.append({ state: 'switching' });
    const bytes = readFileSync(path);
    await first.append({ state: 'switched' });
    const later = readFileSync(path);
    await first.close();
    for (const [text, kind, state] of [
      [bytes, 'journal', 'staging'], // so nothing was switched
      [later, 'damaged', undefined], // what was durable once is lost
    ] as const) {
      writeFileSync(path, text.fill(0, lost.from, lost.to));
      const found = await readJournal(d.host.files, path);
      assert.is(found.kind, kind);
      assert.is(found.kind === 'journal' ? found.journal.state : undefined, state);
    }
    // What goes on from there is not mixed up with what that life has left, also where both are as long.
    writeFileSync(path, bytes);
    const found = await readJournal(d.host.files, path);
    if (found.kind !== 'journal') throw new Error(found.kind);
    const second = await continueJournal(d.host.files, d.backups, found.journal);
    await second.note({ state: 'stopping', services: [{ module: 'b'.repeat(5000) }] });
    await second.close();
    const again = await readJournal(d.host.files, path);
    assert.is(again.kind === 'journal' && again.journal.state, 'stopping');
  } finally {
    d.remove();
  }
});

test('bytes that no journal ever held never throw', async () => {
  const samples = [
    '',
    '\n',
    '\n\n\n',
    'x\n',
    `${'0'.repeat(64)} {}\n`,
    `${digest('{}')} {}\n`,
    `${digest('null')} null\n`,
  ];
  const unplanned = encodeRecord({ state: 'staged' }, digest);
  for (const sample of [...samples.map((text) => Buffer.from(text)), Buffer.alloc(4096, 0xff)]) {
    assert.is.not((await decoded(sample)).kind, 'journal');
  }
  assert.is((await decoded(unplanned)).kind, 'damaged');
});

/** A plan of so many steps, some of them with what JSON has to escape. */
function planOf(count: number): Plan {
  const steps = Array.from({ length: count }, (_, index) => ({
    kind: 'remove' as const,
    module: 'a',
    target: `/opt/tope/"${index}"`,
    temp: '/opt/tope/.t',
    backup: `/b/${'x'.repeat(index % 7)}`,
  }));
  return { ...plan, steps };
}

test('a first record in pieces is the same text as in one', () => {
  for (const count of [0, 1, 63, 64, 65, 200]) {
    const many = planOf(count);
    const text = [...firstRecordText(many)].join('');
    assert.is(text, JSON.stringify({ state: 'staging', plan: many }));
  }
});

test('a journal that was begun is read back with its plan', async () => {
  const d = device();
  try {
    const many = planOf(1000);
    const journal = await beginJournal(d.host, d.backups, many);
    await journal.append({ state: 'switching' });
    await journal.close();
    for (const read of [readJournal, readJournalHead]) {
      const found = await read(d.host.files, journalPath(d.backups));
      assert.ok(found.kind === 'journal');
      const steps = [...found.journal.plan.steps];
      assert.equal(
        [found.journal.state, { ...found.journal.plan, steps }],
        ['switching', read === readJournal ? many : { ...many, steps: [] }],
      );
    }
  } finally {
    d.remove();
  }
});

test('a plan that no journal holds is refused with its numbers before one is begun', async () => {
  const [step] = planOf(1).steps;
  const count = limits.journalSureSteps;
  const long = `/${'x'.repeat(Math.ceil(limits.journalBytes / count))}`;
  const host = { clock: realClock() };
  await checkPlanLength(host, { ...plan, steps: new Array(count).fill(step) });
  const told = await checkPlanLength(host, {
    ...plan,
    steps: new Array(count).fill({ ...step, target: long }),
  }).then(
    () => 'taken',
    (thrown: unknown) => String(thrown),
  );
  assert.match(
    told,
    /DEPLOYMENT_FAILED: the plan of \d+ steps takes \d{8,} bytes, the journal holds \d{8,}: /,
  );
});

test('a plan that no journal can hold is refused, and no journal is left', async () => {
  const d = device();
  try {
    const [step] = planOf(1).steps;
    assert.ok(step);
    const long = { ...step, target: `/${'y'.repeat(1000)}` };
    const tooLarge = { ...plan, steps: new Array(Math.ceil(limits.journalBytes / 1000)).fill(long) };
    const begun = beginJournal(d.host, d.backups, tooLarge);
    const said = await begun.then(
      () => 'begun',
      (thrown: unknown) => String(thrown),
    );
    assert.match(said, /DEPLOYMENT_FAILED: the plan of \d+ steps takes more than \d+ bytes/);
    assert.equal(readdirSync(d.backups), []);
  } finally {
    d.remove();
  }
});

test.run();
