/** The small pure parts: what is asked for, what is told, when. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorCodes } from '../../src/errors.ts';
import { type Deployment, readDeployment } from '../../src/fleet/answers.ts';
import { attributesOf } from '../../src/fleet/attributes.ts';
import { offerOf } from '../../src/fleet/offer.ts';
import { afterFailureMs, firstPollMs, nextPollMs, retryMs, sameIdMs } from '../../src/fleet/schedule.ts';
import { cancelBody, confirmationBody, endBody, errorNumbers, wordBody } from '../../src/fleet/words.ts';
import type { HistoryEntry } from '../../src/history.ts';
import { limits } from '../../src/limits.ts';

const test = suite('parts of the fleet client');
const server = new URL('https://fleet.example:8443/hawkbit');

interface File {
  readonly filename: string;
  readonly size?: number;
  readonly hashes?: object;
  readonly href?: string;
}
function file(filename: string, more: Partial<File> = {}): object {
  const {
    size = 5,
    hashes = { md5: 'a'.repeat(32), sha256: 'b'.repeat(64) },
    href = `http://localhost:8080/x/${filename}`,
  } = more;
  return { filename, size, hashes, _links: { 'download-http': { href } } };
}
function set(
  ...modules: { version?: string; files?: object[]; encrypted?: boolean; metadata?: object[] }[]
): Deployment {
  const chunks = modules.map(({ version = '1.5.0', files = [], encrypted, metadata = [] }, index) => ({
    name: `module ${index}`,
    version,
    artifacts: files,
    metadata,
    ...(encrypted === undefined ? {} : { encrypted }),
  }));
  return readDeployment({ id: '1', deployment: { download: 'forced', update: 'forced', chunks } });
}
const refusalOf = (deployment: Deployment) => {
  const offer = offerOf(deployment, server);
  return offer.kind === 'refused' ? offer.error.message : JSON.stringify(offer);
};

test('one ZIP is taken, whatever lies beside it and in modules without files', () => {
  const offer = offerOf(set({ files: [file('notes.txt'), file('Prin ter+1.ZIP')] }, {}), server);
  assert.ok(offer.kind === 'package');
  assert.equal(offer.request, {
    version: '1.5.0',
    package_url: 'http://localhost:8080/x/Prin%20ter+1.ZIP',
    package_name: 'Prin_ter+1.ZIP',
    package_size: 5,
    package_md5: 'a'.repeat(32),
    package_sha256: 'b'.repeat(64),
  });
});

test('a link to the host of the server takes its scheme and port; another host stays as it is', () => {
  const urlOf = (href: string) => {
    const offer = offerOf(set({ files: [file('p.zip', { href })] }), server);
    return offer.kind === 'package' ? offer.request.package_url : '';
  };
  assert.is(urlOf('http://fleet.example/DEFAULT/p.zip'), 'https://fleet.example:8443/DEFAULT/p.zip');
  assert.is(urlOf('http://fleet.example:8080/p.zip?a=b'), 'https://fleet.example:8443/p.zip?a=b');
  assert.is(urlOf('https://cdn.example/p.zip'), 'https://cdn.example/p.zip');
});

test('what would be installed in part, or not at all, is refused by its names', () => {
  assert.match(
    refusalOf(set({ files: [file('a.txt')] })),
    /INVALID_PACKAGE: the set has no ZIP file, only a\.txt/,
  );
  assert.match(refusalOf(set({})), /no ZIP file, only modules without files/);
  assert.match(
    refusalOf(set({ files: [file('a.zip'), file('b.zip')] })),
    /2 ZIP files, one is taken: a\.zip, b\.zip/,
  );
  assert.match(
    refusalOf(set({ files: [file('a.zip')] }, { files: [file('fw.bin')] })),
    /more modules with files than that of a\.zip: module 1/,
  );
  assert.match(refusalOf(set({ files: [file('a.zip')], encrypted: true })), /module 0 is encrypted/);
  assert.match(refusalOf(set({ files: [file('a.zip')], version: 'v1' })), /VERSION_MISMATCH: .* v1/);
  assert.match(
    refusalOf(set({ files: [file('a.zip', { hashes: { sha1: 'c'.repeat(40) } })] })),
    /no MD5: .*SHA-1 alone/,
  );
});

test("an operator allows a lower version by the module's metadata", () => {
  const offer = offerOf(
    set({ files: [file('a.zip')], metadata: [{ key: 'tope.allow_downgrade', value: 'true' }] }),
    server,
  );
  assert.ok(offer.kind === 'package' && offer.request.allow_downgrade === true);
});

test('a name that the updater keeps for itself, or does not take, becomes one that it takes', () => {
  for (const name of ['fleet.json.zip', '.hidden.zip', 'Größe.zip', `${'x'.repeat(300)}.zip`]) {
    const offer = offerOf(set({ files: [file(name)] }), server);
    assert.ok(offer.kind === 'package');
    assert.match(offer.request.package_name, /^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/);
    assert.not.match(offer.request.package_name, /^fleet\.json/);
  }
});

test('nothing that is told looks like a tag, holds control characters, or is too long', () => {
  const detail = `expected <new>\n& "x" ${'y'.repeat(600)}`;
  const told = JSON.stringify(wordBody({ key: 'k', execution: 'proceeding', detail, percent: 25 }));
  assert.not.match(told, /<|\\n/);
  assert.ok(told.includes('‹new›') && told.includes('"progress":{"cnt":25,"of":100}'));
  const body = endBody(
    { execution: 'closed', finished: 'failure', details: Array(60).fill(detail), code: 118 },
    true,
  ) as { status: { details: string[] } };
  assert.is(body.status.details.length, limits.fleetDetails);
  assert.ok(body.status.details.every((text) => text.length <= limits.fleetDetailChars));
});

test('an end without details, and the answers to a cancellation and to a question', () => {
  const end = { execution: 'closed', finished: 'success', details: ['x'], code: 0 } as const;
  assert.equal(endBody(end, false), {
    status: { execution: 'closed', result: { finished: 'success' }, code: 0 },
  });
  assert.equal(cancelBody(true, 'd'), {
    status: { execution: 'closed', result: { finished: 'success' }, details: ['d'] },
  });
  assert.equal(cancelBody(false, 'd'), {
    status: { execution: 'rejected', result: { finished: 'none' }, details: ['d'] },
  });
  assert.equal(confirmationBody(true, 'd'), { confirmation: 'confirmed', code: 20, details: ['d'] });
});

test('every error has a number of its own', () => {
  assert.is(new Set(errorCodes.map((code) => errorNumbers[code])).size, errorCodes.length);
  assert.is(errorNumbers.HEALTH_CHECK_FAILED, 120);
});

const entry: HistoryEntry = {
  id: '20261129T000000000Z',
  kind: 'rollback',
  version: '1.4.0',
  previous_version: '1.5.0',
  started_at: '2026-11-29T00:00:00.000Z',
  ended_at: '2026-11-29T00:00:01.000Z',
  outcome: 'failed',
  error: 'HEALTH_CHECK_FAILED: secret <words>',
  bytes: 1,
  modules: [],
};

test('attributes say what runs and what was done last, by whom, in letters that a server takes', () => {
  const attributes = attributesOf({
    updaterVersion: '0.3.0',
    deviceType: 'Drucker Größe XL~',
    history: [entry],
    installedVersion: '1.4.0',
    differingFiles: 3,
    more: { hw_revision: '2', sw_version: 'mine', ö: 'x'.repeat(200), empty: '' },
  });
  assert.equal(attributes, {
    hw_revision: '2',
    sw_version: '1.4.0',
    _: 'x'.repeat(128),
    hw_boardname: 'Drucker Gr__e XL_',
    updater_version: '0.3.0',
    last_kind: 'rollback',
    last_version: '1.4.0',
    last_outcome: 'failed',
    last_error: 'HEALTH_CHECK_FAILED',
    last_by: 'local',
    last_at: '2026-11-29T00:00:01.000Z',
    audit_differing: '3',
  });
});

test('a device that has done nothing yet has attributes all the same', () => {
  const more = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`k${index}`, 'v']));
  const facts = {
    updaterVersion: '0.3.0',
    deviceType: undefined,
    history: [],
    installedVersion: undefined,
    differingFiles: undefined,
  };
  assert.equal(attributesOf({ ...facts, more: {} }), { updater_version: '0.3.0' });
  assert.is(Object.keys(attributesOf({ ...facts, more })).length, limits.fleetAttributes);
});

test('the first poll comes within 5 s where nothing is known, else within the usual interval', () => {
  assert.is(firstPollMs(undefined, false, 1), 5_000);
  assert.is(firstPollMs(3_600_000, false, 1), 300_000);
  assert.is(firstPollMs(60_000, false, 0.5), 30_000);
  assert.is(firstPollMs(3_600_000, true, 1), 60_000);
});

test('polls are ten percent apart from each other; an order is looked after each minute', () => {
  assert.is(nextPollMs(undefined, false, 0), 270_000);
  assert.ok(Math.abs(nextPollMs(300_000, false, 1) - 330_000) < 1);
  assert.is(nextPollMs(300_000, true, 0.5), 60_000);
  assert.is(nextPollMs(10_000, true, 0.5), 10_000);
});

test('failures wait twice as long each, up to 15 min or the interval; Retry-After counts up to an hour', () => {
  assert.equal(
    [1, 2, 3, 6, 60].map((failures) => afterFailureMs(failures, 300_000, undefined, 1)),
    [30_000, 60_000, 120_000, 900_000, 900_000],
  );
  assert.is(afterFailureMs(60, 7_200_000, undefined, 1), 7_200_000);
  assert.is(afterFailureMs(1, 300_000, undefined, 0), 15_000);
  assert.is(afterFailureMs(1, 300_000, 600_000, 1), 600_000);
  assert.is(afterFailureMs(1, 300_000, 99_999_000, 1), 3_600_000);
});

test('a download is begun again after 1, 5, 15, 60, 60 min; an id that ended after 1, 2, 4, ... 24 h', () => {
  assert.equal([1, 2, 3, 4, 40].map(retryMs), [60_000, 300_000, 900_000, 3_600_000, 3_600_000]);
  assert.equal(
    [0, 1, 2, 9].map((times) => sameIdMs(times) / 3_600_000),
    [1, 2, 4, 24],
  );
});

test.run();
