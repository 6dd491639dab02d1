import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRates } from '../../src/download/rates.ts';

const test = suite('rates');

test('what was not measured yet is made', () => {
  const rates = createRates(undefined);
  assert.not(rates.isFetchedFaster('file'));
  rates.received(1_000_000, 10);
  assert.not(rates.isFetchedFaster('file'));
  rates.made('file', 1_000, 1_000); // too little to tell
  assert.not(rates.isFetchedFaster('file'));
});

test('deflating and patching are measured apart, over all that was made', () => {
  const rates = createRates(undefined);
  rates.received(1_000_000, 100);
  rates.made('file', 400_000, 20);
  rates.made('patched', 400_000, 80);
  assert.equal([rates.isFetchedFaster('file'), rates.isFetchedFaster('patched')], [false, true]);
  rates.made('file', 400_000, 200);
  assert.ok(rates.isFetchedFaster('file'));
});

test('no link is faster than the limit that is set', () => {
  const rates = createRates(4_000_000);
  rates.received(1_000_000, 1);
  rates.made('file', 500_000, 100);
  assert.not(rates.isFetchedFaster('file'));
  rates.made('file', 500_000, 900);
  assert.ok(rates.isFetchedFaster('file'));
});

test.run();
