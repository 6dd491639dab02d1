/**
 * How real package stores answer a resume: each row of the table below played by the scripted server, and the real
 * programs themselves where the machine has them.
 */
import { chmodSync, existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ResumeInfo } from '../../src/download/resume.ts';
import type { HttpRequest, Net } from '../../src/host/host.ts';
import { realNet } from '../../src/host/net.ts';
import { startFaultServer } from './fault-server.ts';
import { programPath, type RealServer, realServers, startRealServer } from './real-servers.ts';
import { obtain, requestFor, skipped, someBytes, temporaryDirectory, testHost } from './rig.ts';
import { type Profile, plainProfile } from './store-profile.ts';

const size = 3_000_000;
const have = 2_000_000;
const right = someBytes(size);
const older = someBytes(size);

/** `unchanged`, `changed`: the answers to a resume of the same file, and after the file was replaced. */
interface Row {
  readonly name: string;
  readonly profile: Partial<Profile>;
  readonly unchanged: readonly number[];
  readonly changed: readonly number[];
}

const weak = { etag: 'weak' } as const;
const rows: readonly Row[] = [
  { name: 'nginx, Caddy', profile: {}, unchanged: [206], changed: [200] },
  { name: 'Apache', profile: { contentRangeOn416: false }, unchanged: [206], changed: [200] },
  {
    name: 'lighttpd without validators: the digest catches the splice',
    profile: { etag: 'none', lastModified: false },
    unchanged: [206],
    changed: [206, 200],
  },
  { name: 'Express static', profile: weak, unchanged: [206], changed: [200] },
  {
    name: 'http-server, which ignores If-Range',
    profile: { ...weak, ifRange: 'ignored' },
    unchanged: [206],
    changed: [206, 200],
  },
  { name: 'Go FileServer', profile: { etag: 'none' }, unchanged: [206], changed: [200] },
  {
    name: 'Go with a bare ETag',
    profile: { etag: 'bare', ifRange: 'date' },
    unchanged: [206],
    changed: [200],
  },
  {
    name: 'hawkBit',
    profile: { etag: 'bare', contentRangeOn200: true },
    unchanged: [206],
    changed: [200],
  },
  {
    name: 'a server that never understands If-Range but keeps its validators',
    profile: { ifRange: 'date' },
    unchanged: [200, 206],
    changed: [200],
  },
  {
    name: 'Python http.server, without ranges',
    profile: { etag: 'none', ranges: false },
    unchanged: [200, 200],
    changed: [200],
  },
];

for (const { name, profile, unchanged, changed } of rows) {
  test(`${name}: resume of the same file ${unchanged}, of a changed one ${changed}`, async () => {
    const whole = { ...plainProfile, ...profile };
    const server = await startFaultServer({ versions: [older, right], profile: whole });
    const work = temporaryDirectory();
    try {
      const first = await obtain(testHost(), work.path, requestFor(server.url, older));
      const resume = first.saved.at(-1);
      await resumesWith(work.path, server.url, older, older, resume, unchanged);
      server.script([{ kind: 'swap', version: 1 }]);
      await resumesWith(work.path, server.url, older, right, resume, changed);
    } finally {
      await server.close();
      work.remove();
    }
  });
}

const expectedOf: Readonly<Record<string, Pick<Row, 'unchanged' | 'changed'>>> = {
  nginx: { unchanged: [206], changed: [200] },
  Caddy: { unchanged: [206], changed: [200] },
  Apache: { unchanged: [206], changed: [200] },
  lighttpd: { unchanged: [206], changed: [206, 200] },
  'npm http-server': { unchanged: [206], changed: [206, 200] },
  'Python http.server': { unchanged: [200, 200], changed: [200] },
};

for (const server of realServers) {
  const program = programPath(server.program);
  if (program === undefined) {
    skipped(`real ${server.name}`, `no ${server.program} program`);
    test.skip(`real ${server.name}`);
    continue;
  }
  test(`real ${server.name}: resume of the same file, and of a changed one`, () => playReal(server, program));
}

test.run();

async function playReal(server: RealServer, program: string): Promise<void> {
  const work = temporaryDirectory();
  const downloads = join(work.path, 'tmp');
  mkdirSync(downloads);
  const file = join(work.path, 'www', 'package.zip');
  const publish = (bytes: Uint8Array, changedAt: number) => {
    rmSync(file, { force: true });
    writeFileSync(file, bytes);
    chmodSync(file, 0o644);
    // Apache does not believe in dates younger than a minute.
    utimesSync(file, changedAt, changedAt);
  };
  const running = await startRealServer(server, program, work.path);
  try {
    publish(older, 1_500_000_000);
    const first = await obtain(testHost(), downloads, requestFor(running.url, older));
    assert.is(first.error, undefined, first.error?.message);
    const resume = first.saved.at(-1);
    const { unchanged, changed } = expectedOf[server.name] ?? {};
    await resumesWith(downloads, running.url, older, older, resume, unchanged);
    publish(right, 1_600_000_000);
    await resumesWith(downloads, running.url, older, right, resume, changed);
  } finally {
    await running.stop();
    work.remove();
  }
}

/** Resumes with the first `have` bytes of `before` on disk; the store has `now`, which is what is asked for. */
async function resumesWith(
  directory: string,
  url: string,
  before: Uint8Array,
  now: Uint8Array,
  resume: ResumeInfo | undefined,
  statuses: readonly number[] | undefined,
): Promise<void> {
  const final = join(directory, 'package.zip');
  if (existsSync(final)) rmSync(final);
  writeFileSync(`${final}.part`, before.subarray(0, have));
  const seen: number[] = [];
  const net = realNet({ environment: {} });
  const watched: Net = {
    ...net,
    request: async (request: HttpRequest) => {
      const response = await net.request(request);
      seen.push(response.status);
      return response;
    },
  };
  const outcome = await obtain(testHost({ net: watched }), directory, requestFor(url, now), { resume });
  assert.is(outcome.error, undefined, `${outcome.error?.message} after ${seen}`);
  assert.ok(Buffer.from(now).equals(outcome.file ?? new Uint8Array()), 'the right file');
  if (statuses === undefined) console.log(`measured: ${url} answered ${seen}`);
  else assert.equal(seen, statuses);
}
