import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeJournal, encodeRecord, type JournalRecord } from '../../src/deploy/journal.ts';
import type { Plan } from '../../src/deploy/plan.ts';

const digest = (text: string) => createHash('sha256').update(text).digest('hex');
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

test('what was written is read back, with or without the padding behind it', () => {
  for (const bytes of [whole, padded]) {
    assert.equal(decodeJournal(bytes, digest), {
      kind: 'journal',
      journal: {
        plan,
        state: 'undoing',
        services: [{ module: 'a' }],
        bootId: undefined,
        begun: 0,
        error: 'HEALTH_CHECK_FAILED: no',
        endOffset: whole.length,
      },
    });
  }
});

test('cut at any byte, the last whole record counts', () => {
  for (let length = 0; length < whole.length; length++) {
    for (const bytes of [
      whole.subarray(0, length),
      Buffer.concat([whole.subarray(0, length), Buffer.alloc(50)]),
    ]) {
      const decoded = decodeJournal(bytes, digest);
      const complete = ends.filter((end) => end <= length).length;
      const state = decoded.kind === 'journal' ? decoded.journal.state : decoded.kind;
      assert.is(state, records[complete - 1]?.state ?? 'empty', `cut at ${length}`);
    }
  }
});

test('any flipped bit is a torn tail in the last record and damage before it', () => {
  const lastStart = ends.at(-2) ?? 0;
  for (let index = 0; index < whole.length; index++) {
    for (const bit of [1, 0x20, 0x80]) {
      const bytes = Buffer.from(padded);
      bytes[index] = (bytes[index] ?? 0) ^ bit;
      const decoded = decodeJournal(bytes, digest);
      // Without the line end before it, the last record is no line of its own: both read as one torn tail.
      if (index === lastStart - 1) assert.is(decoded.kind === 'journal' && decoded.journal.state, 'stopping');
      else if (index < lastStart) assert.is(decoded.kind, 'damaged', `byte ${index}`);
      else assert.is(decoded.kind === 'journal' && decoded.journal.state, 'switching', `byte ${index}`);
    }
  }
});

test('bytes that no journal ever held never throw', () => {
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
    assert.is.not(decodeJournal(sample, digest).kind, 'journal');
  }
  assert.is(decodeJournal(unplanned, digest).kind, 'damaged');
});

test.run();
