/** Progress as it is kept: what is due with it, and what a download takes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trafficText } from '../../src/download/traffic.ts';
import type { Operation } from '../../src/updater/event.ts';
import { atEachTenth, createProgress } from '../../src/updater/progress.ts';

test('what is due at each tenth of the work comes ten times, not with each percent, and anew in the next stage', async () => {
  const seen: number[] = [];
  const progress = createProgress([atEachTenth(() => seen.push(progress.current().progress))]);
  await progress.enter('downloading', null);
  for (let percent = 0; percent <= 100; percent += 0.5) progress.advance(percent);
  assert.equal(seen, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  await progress.enter('installing', null);
  for (let percent = 0; percent <= 25; percent += 7) progress.advance(percent);
  assert.equal(seen.slice(11), [0, 14, 21]);
});

const update: Operation = {
  kind: 'update',
  request: {
    version: '1.5.0',
    package_url: 'https://store.example/p.zip',
    package_name: 'p.zip',
    package_size: 66_700_000,
    package_md5: '0'.repeat(32),
  },
  verifiedMs: null,
  seal: null,
  action: null,
};
const took = { bytes_fetched: 4_900_000, bytes_reused: 61_800_000, requests: 3 };
const resume = {
  bytes_downloaded: 66_700_000,
  etag: null,
  last_modified: null,
  total: 66_700_000,
  traffic: took,
};

test('what a download takes is counted over all runs, told until another operation begins, and added up since the start', async () => {
  const progress = createProgress([]);
  const facts = () => progress.current().facts;
  assert.is(facts()?.download, null);
  await progress.enter('downloading', null, update);
  const meter = progress.downloads({ bytes_fetched: 100, bytes_reused: 0, requests: 1 });
  meter.requested();
  meter.received(20);
  meter.reused(30);
  const soFar = { bytes_fetched: 120, bytes_reused: 30, requests: 2 };
  assert.equal([facts()?.download, meter.traffic()], [soFar, soFar]);
  assert.equal([facts()?.receivedBytes, facts()?.reusedBytes, facts()?.requests], [20, 30, 1]);
  await progress.enter('verifying', null, update);
  await progress.enter('downloading', null, update); // once more, as what came was not right
  meter.received(1);
  assert.is(facts()?.download?.bytes_fetched, 121);
  await progress.enter('toInstall', null, update);
  await progress.enter('installing', null, update);
  await progress.enter('success', null, null);
  assert.is(facts()?.download?.bytes_fetched, 121);
  await progress.enter('installing', null, { kind: 'rollback', version: null, because: undefined });
  assert.is(facts()?.download, null);
  await progress.enter('downloading', null, update);
  progress.downloads(undefined);
  assert.equal(facts()?.download, { bytes_fetched: 0, bytes_reused: 0, requests: 0 });
  assert.is(facts()?.receivedBytes, 21);
});

test('a start that finds a package waiting says what its download took', async () => {
  const progress = createProgress([]);
  await progress.enter('toInstall', null, update, resume);
  assert.is(progress.current().message, '4.9 of 66.7 MB downloaded, the rest is already here');
  assert.equal(progress.current().facts?.download, took);
});

test('a small package is told in kB, and nothing is said to be here where all was fetched in the end', () => {
  const text = (fetched: number, bytes: number) =>
    trafficText({ bytes_fetched: fetched, bytes_reused: 200_000, requests: 3 }, bytes);
  assert.is(text(70_120, 270_120), '70.1 of 270.1 kB downloaded, the rest is already here');
  assert.is(text(270_120, 270_120), undefined);
});

test.run();
