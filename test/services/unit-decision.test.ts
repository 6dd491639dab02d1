/** The decision table of docs/services.md, row by row: what a unit was and what is wanted -> what is done. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { WhichSet } from '../../src/services/snapshot.ts';
import { decideUnit } from '../../src/services/unit-decision.ts';

const test = suite('services/unit-decision');
const page = readFileSync(new URL('../../docs/services.md', import.meta.url), 'utf8');

/** Rows `| was | now | enable | update and rollback | undo |` behind the heading. */
const rows = page
  .slice(page.indexOf('## A unit: what is done'), page.indexOf('## A plain process'))
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| it was'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

const states: Record<string, { load: string; active: string }> = {
  running: { load: 'loaded', active: 'active' },
  'starting, or crashing again and again': { load: 'loaded', active: 'activating' },
  reloading: { load: 'loaded', active: 'reloading' },
  failed: { load: 'loaded', active: 'failed' },
  stopped: { load: 'loaded', active: 'inactive' },
  masked: { load: 'masked', active: 'inactive' },
  'not there': { load: 'not-found', active: 'inactive' },
};
const loads: Record<string, string> = { there: 'loaded', masked: 'masked', 'not there': 'not-found' };

const seen = new Set<string>();
for (const [was = '', now = '', enable = '', target = '', captured = ''] of rows) {
  for (const [set, expected] of [
    ['target', target],
    ['captured', captured],
  ] as [WhichSet, string][]) {
    test(`${was}, now ${now}, enable ${enable}, ${set}: ${expected}`, () => {
      const state = states[was];
      const loadNow = loads[now];
      if (state === undefined || loadNow === undefined) throw new Error(`no such row: ${was}, ${now}`);
      const before = { unit: 'x.service', ...state, sub: '', file: '', triggers: [], dependents: [] };
      const decision = decideUnit({ before, loadNow, enable: enable === 'true', set });
      assert.is(
        decision.do === 'leave' ? 'stays down' : decision.do === 'start' ? 'started' : 'fails',
        expected,
      );
    });
  }
  seen.add(`${was}/${now}/${enable}`);
}

test('the table has every combination', () => {
  const all = Object.keys(states).flatMap((was) =>
    Object.keys(loads).flatMap((now) => ['-', 'true'].map((enable) => `${was}/${now}/${enable}`)),
  );
  assert.equal([...seen].sort(), all.sort());
});

test.run();
