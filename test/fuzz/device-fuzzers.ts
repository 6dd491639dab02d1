/**
 * Fuzzers of what the device itself hands the daemon: state.json, the journal, the record of what is deployed, /proc text,
 * raw HTTP; with what a store hands a download (download-fuzzers.ts). Each takes a seed, damages something honest with it, and
 * throws when a property does not hold.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRecord, type RecordLine } from '../../src/deploy/deployed-record.ts';
import { encodeRecord, type JournalRecord } from '../../src/deploy/journal.ts';
import { decodeJournal } from '../../src/deploy/journal-reader.ts';
import { parseOwner } from '../../src/deploy/owner.ts';
import type { Plan } from '../../src/deploy/plan.ts';
import { openSteps } from '../../src/deploy/step-list.ts';
import { UpdateError } from '../../src/errors.ts';
import { realClock } from '../../src/host/clock.ts';
import { realFiles } from '../../src/host/files.ts';
import { startServer } from '../../src/http/server.ts';
import {
  isNamed,
  owningUnit,
  parseCmdline,
  parseEnviron,
  parseStat,
  parseStatusOwner,
} from '../../src/services/proc-text.ts';
import { decideRecovery } from '../../src/updater/recover.ts';
import { createStore, type Saved } from '../../src/updater/store.ts';
import type { Fuzzer } from '../fixtures/fuzz-package.ts';
import { type Chance, chance, mutateBytes, mutateJson } from '../fixtures/mutate.ts';
import { putRecord } from '../fixtures/put-record.ts';
import { rawClient } from '../fixtures/raw-client.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';
import { downloadFuzzers } from './download-fuzzers.ts';
import { fleetFuzzers } from './fleet-fuzzers.ts';

export interface RunningFuzzers {
  readonly fuzzers: readonly Fuzzer[];
  close(): Promise<void>;
}

export async function deviceFuzzers(): Promise<RunningFuzzers> {
  const directory = mkdtempSync(join(tmpdir(), 'tope-fuzz-'));
  const http = await httpFuzzer();
  return {
    fuzzers: [
      { name: 'state.json', run: (seed) => fuzzState(directory, seed) },
      { name: 'journal', run: fuzzJournal },
      { name: 'deployed record', run: (seed) => fuzzDeployedRecord(directory, seed) },
      { name: '/proc text', run: fuzzProc },
      ...fleetFuzzers(directory),
      ...downloadFuzzers(),
      http.fuzzer,
    ],
    close: async () => {
      rmSync(directory, { recursive: true });
      await http.close();
    },
  };
}

const saved: Saved = {
  operation: 'update',
  version: '2.0.0',
  package_url: 'https://store.example/p.zip?signature=secret',
  package_name: 'p.zip',
  package_size: 1000,
  package_md5: '0123456789abcdef0123456789abcdef',
  bytes_downloaded: 500,
  etag: '"x"',
  last_modified: null,
  total: 1000,
  stage: 'installing',
  last_update: '2026-11-23T20:00:00.000Z',
  error: null,
  install_starts: 1,
  verified_at: '2026-11-23T19:00:00.000Z',
};

/** Any state.json is either taken, and then decides a recovery, or moved aside; nothing is thrown. */
async function fuzzState(directory: string, seed: number): Promise<string> {
  const dice = chance(seed);
  const text = dice.below(2) === 0 ? JSON.stringify(mutateJson(saved, dice)) : JSON.stringify(saved);
  mkdirSync(join(directory, 'tmp'), { recursive: true });
  writeFileSync(
    join(directory, 'tmp/state.json'),
    dice.below(2) === 0 ? mutateBytes(Buffer.from(text), dice) : text,
  );
  const loaded = await createStore({ files: realFiles(), log: collectingLog() }, directory).load();
  if (loaded === undefined) return 'moved aside';
  if (/[/\0]/.test(loaded.operation === 'update' ? loaded.package_name : ''))
    throw new Error('a path as package_name');
  const nothingElse = {
    journal: 'none',
    isEnding: false,
    damage: undefined,
    packageThere: false,
    trial: 'none',
  } as const;
  const found = { saved: loaded, ...nothingElse, now: { nowMs: 0 } };
  return `taken, ${decideRecovery(found).do}`;
}

const plan: Plan = {
  format: 1,
  id: '20261123T200000000Z',
  kind: 'update',
  version: '2.0.0',
  previousVersion: null,
  startedMs: 0,
  modules: ['a'],
  services: [],
  reboot: false,
  consumes: [],
  steps: [],
};
const digest = (text: string) => createHash('sha256').update(text).digest('hex');
const records: readonly JournalRecord[] = [
  { state: 'staging', plan },
  { state: 'staged' },
  { state: 'stopping', services: [] },
  { state: 'switching' },
  { state: 'switched' },
];
const journal = Buffer.concat(records.map((record) => encodeRecord(record, digest)));
const lineStarts = [...journal.keys()].filter((at) => at === 0 || journal[at - 1] === 0x0a);

/** Whatever the bytes are, what is read is a state that was written, with the plan that was written. */
async function fuzzJournal(seed: number): Promise<string> {
  const bytes = mutateBytes(journal, chance(seed), lineStarts);
  const decoded = await decodeJournal([bytes], createHash, await openSteps());
  if (decoded.kind !== 'journal') return decoded.kind;
  if (
    JSON.stringify({ ...decoded.journal.plan, steps: [...decoded.journal.plan.steps] }) !==
    JSON.stringify(plan)
  )
    throw new Error('a plan that nobody wrote');
  if (!records.some(({ state }) => state === decoded.journal.state))
    throw new Error('a state that nobody wrote');
  return decoded.journal.state;
}

const noService = {
  module: 'a',
  processName: undefined,
  restartOrder: undefined,
  unit: undefined,
  start: undefined,
  health: undefined,
};
const deployed: readonly RecordLine[] = [
  { kind: 'module', name: 'a', id: plan.id, tree: '/opt/tope/a', service: noService },
  { kind: 'directory', module: 'a', path: '/opt/tope/a', mode: 0o755, uid: 0, gid: 0 },
  ...['x', 'y'].map((name) => ({
    kind: 'file' as const,
    module: 'a',
    path: `/opt/tope/a/${name}`,
    entry: name,
    sizeBytes: 1,
    mode: 0o644,
    uid: 0,
    gid: 0,
    sha256: digest(name),
  })),
];

/** A record is refused with its name, or every line that it gives is one that was written. */
async function fuzzDeployedRecord(directory: string, seed: number): Promise<string> {
  const files = realFiles();
  const path = join(directory, `${plan.id}.deployed`);
  const from = { sizeBytes: 1, md5: '0'.repeat(32), sha256: null };
  const header = { kind: 'header', format: 1, id: plan.id, version: '2.0.0', package: from } as const;
  rmSync(path, { force: true });
  await putRecord(files, directory, header, deployed);
  const honest = readFileSync(path);
  const starts = [...honest.keys()].filter((at) => at === 0 || honest[at - 1] === 0x0a);
  const dice = chance(seed);
  writeFileSync(path, dice.below(4) === 0 ? honest : mutateBytes(honest, dice, starts));
  const written = new Set(deployed.map((line) => JSON.stringify(line)));
  try {
    const record = await openRecord(files, directory, plan.id);
    const asWritten = { ...header, modules: { a: header.version } };
    if (JSON.stringify(record.header) !== JSON.stringify(asWritten)) throw new Error('a header nobody wrote');
    for await (const line of record.lines())
      if (!written.has(JSON.stringify(line))) throw new Error('a line nobody wrote');
    return 'read';
  } catch (thrown) {
    if (!(thrown instanceof UpdateError) || !thrown.message.includes(path)) throw thrown;
    return thrown.code;
  }
}

const procTexts = [
  '123 (a (b) c) S 1 123 123 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000 10 18446744073709551615',
  'python3\0/opt/klippy/klippy.py\0-l\0/tmp/x\0',
  'PATH=/bin\0HOME=/root\0EMPTY=\0=odd\0',
  'Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGid:\t20\t20\t20\t20\nGroups:\t20 27\n',
  '12:pids:/system.slice/klipper.service\n1:name=systemd:/system.slice/klipper.service\n0::/system.slice/klipper.service\n',
  'root:x:0:0:root:/root:/bin/sh\nklipper:x:1000:20::/home:/bin/sh\n',
];

/** No text of /proc or /etc makes a parser throw anything but a refusal. */
async function fuzzProc(seed: number): Promise<string> {
  const dice: Chance = chance(seed);
  const text = mutateBytes(Buffer.from(dice.pick(procTexts)), dice).toString('latin1');
  const stat = parseStat(text);
  const argv = parseCmdline(text);
  parseEnviron(text);
  const status = parseStatusOwner(text);
  const unit = owningUnit(text);
  if (unit?.includes('/')) throw new Error(`a unit with a path: ${unit}`);
  isNamed({ comm: text, argv, exe: text }, 'klippy');
  try {
    parseOwner('klipper:dialout', text, text);
  } catch (thrown) {
    if (!(thrown instanceof UpdateError)) throw thrown;
  }
  return [stat && 'stat', status && 'status', unit && 'unit'].filter(Boolean).join('+') || 'nothing';
}

const requests = [
  'GET /api/v1.0/progress HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
  'POST /api/v1.0/update HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{"version":"1.2.3"}',
  'POST /api/v1.0/cancel HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
];

/** Whatever is sent, the answer is HTTP or a closed connection, and the next client is served. */
async function httpFuzzer(): Promise<{ fuzzer: Fuzzer; close: () => Promise<void> }> {
  const server = await startServer(scriptedUpdater(), {
    host: '127.0.0.1',
    port: 0,
    version: '0.0.0',
    log: collectingLog(),
    clock: realClock(),
  });
  const port = server.port ?? 0;
  const exchange = async (bytes: Uint8Array): Promise<string> => {
    const client = await rawClient(port);
    client.send(bytes);
    client.socket.end();
    return client.closed();
  };
  const run = async (seed: number): Promise<string> => {
    const dice = chance(seed);
    const request = Buffer.from(dice.pick(requests));
    const marks = [0, request.indexOf('\r\n'), request.indexOf('\r\n\r\n')];
    const answer = await exchange(mutateBytes(request, dice, marks));
    if (answer !== '' && !answer.startsWith('HTTP/1.1 ')) throw new Error(`no HTTP: ${answer.slice(0, 80)}`);
    if (seed % 50 === 0 && !(await exchange(Buffer.from(requests[0] ?? ''))).includes('"stage":"idle"')) {
      throw new Error('the next client is not served');
    }
    return answer === '' ? 'closed' : answer.slice(9, 12);
  };
  return { fuzzer: { name: 'HTTP requests', run }, close: () => server.close() };
}
