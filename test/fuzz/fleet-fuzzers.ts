/** Fuzzers of what a fleet's server answers and of what is remembered of it. See device-fuzzers.ts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readDeployment, readPoll } from '../../src/fleet/answers.ts';
import { readWith, ServerFault } from '../../src/fleet/exchange.ts';
import { openMemory } from '../../src/fleet/memory.ts';
import { offerOf } from '../../src/fleet/offer.ts';
import { realFiles } from '../../src/host/files.ts';
import type { Fuzzer } from '../fixtures/fuzz-package.ts';
import { chance, mutateBytes, mutateJson } from '../fixtures/mutate.ts';
import { collectingLog } from '../fixtures/scripted-updater.ts';

/** `directory` is theirs. */
export function fleetFuzzers(directory: string): readonly Fuzzer[] {
  return [
    { name: 'answers of a DDI server', run: fuzzAnswers },
    { name: 'fleet.json', run: (seed) => fuzzMemory(directory, seed) },
  ];
}

const href = 'https://h/DEFAULT/controller/v1/d/deploymentBase/42?c=1';
const poll = {
  config: { polling: { sleep: '00:05:00' } },
  _links: { deploymentBase: { href }, configData: { href } },
};
const hashes = { sha1: '0'.repeat(40), md5: '0'.repeat(32), sha256: '0'.repeat(64) };
const artifacts = [
  { filename: 'p.zip', hashes, size: 9, _links: { 'download-http': { href: 'https://h/p.zip' } } },
];
const chunks = [
  { part: 'bApp', version: '1.5.0', name: 'n', artifacts, metadata: [{ key: 'k', value: 'v' }] },
];
const deployment = { id: '42', deployment: { download: 'forced', update: 'forced', chunks } };

/** Whatever is answered, it is taken or it is a fault of the server; what is asked for then is a package of good form. */
async function fuzzAnswers(seed: number): Promise<string> {
  const dice = chance(seed);
  try {
    if (dice.below(2) === 0) {
      const { deployment: link } = readWith(readPoll, mutateJson(poll, dice), 'poll');
      if (link !== undefined && !/^[-\w]{1,64}(\?c=[-\w]{1,64})?$/.test(link.id + link.query))
        throw new Error('a link of bad form');
      return 'poll';
    }
    const offer = offerOf(
      readWith(readDeployment, mutateJson(deployment, dice), 'deployment'),
      new URL('https://h'),
    );
    if (offer.kind === 'refused') return offer.error.code;
    if (!/^[A-Za-z0-9][\w.+-]*$/.test(offer.request.package_name)) throw new Error('a path as package_name');
    return 'offer';
  } catch (thrown) {
    if (!(thrown instanceof ServerFault)) throw thrown;
    return 'fault';
  }
}

const server = { url: 'https://h', tenant: 'DEFAULT', id: 'd' };
const request = {
  version: '1.5.0',
  package_url: 'https://h/p.zip',
  package_name: 'p.zip',
  package_size: 9,
  package_md5: '0'.repeat(32),
};
const order = {
  id: '42',
  request,
  after: null,
  cancelling: false,
  told: ['download'],
  tries: 0,
  tried_ms: 0,
  refusals: 0,
};
const owed = {
  id: '41',
  execution: 'closed',
  finished: 'success',
  details: ['x'],
  code: 0,
  version: '1.5.0',
  md5: null,
};
const attributes = { taken: 'a', refused: null };
const remembered = {
  server,
  order,
  owed,
  last: null,
  failures: [],
  denied: null,
  attributes,
  told_set: null,
  sleep_ms: 300_000,
};

/** Any fleet.json is taken whole, or moved aside and counts as none; nothing is thrown. */
async function fuzzMemory(directory: string, seed: number): Promise<string> {
  const dice = chance(seed);
  const text = JSON.stringify(dice.below(2) === 0 ? mutateJson(remembered, dice) : remembered);
  const path = join(directory, 'fleet.json');
  writeFileSync(path, dice.below(2) === 0 ? mutateBytes(Buffer.from(text), dice) : text);
  const memory = await openMemory({ files: realFiles(), log: collectingLog() }, path, server);
  const { order: taken, owed: still } = memory.current();
  if (taken !== null && /[/\0]/.test(taken.request.package_name + taken.id))
    throw new Error('a path in an order');
  return taken === null && still === null ? 'none' : 'taken';
}
