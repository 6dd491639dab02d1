/**
 * Every reply of every endpoint, success and each refusal, fits the document that the server itself publishes; and every
 * bad request is refused with the field named (spec section 2).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { apiCode, errorCodes, UpdateError } from '../../src/errors.ts';
import { realClock } from '../../src/host/clock.ts';
import { documents, type EndpointName, endpoints } from '../../src/http/contract.ts';
import { type RunningServer, startServer } from '../../src/http/server.ts';
import { noFleet } from '../../src/updater/fleet-state.ts';
import { type Stage, stages } from '../../src/updater/state.ts';
import { schemaErrors } from '../fixtures/json-schema.ts';
import { collectingLog, type ScriptedUpdater, scriptedUpdater } from '../fixtures/scripted-updater.ts';

type Json = Record<string, unknown>;
interface Reply {
  readonly status: number;
  readonly body: Json;
  readonly headers: Headers;
}
interface Context {
  server: RunningServer;
  updater: ScriptedUpdater;
  log: ReturnType<typeof collectingLog>;
  document: Json;
}

const test = suite<Context>('contract');

const goodPackage = {
  version: '1.2.3',
  package_url: 'https://store.example/p.zip?sig=abc',
  package_name: 'p-1.2.3.zip',
  package_size: 1234,
  package_md5: '0123456789abcdefABCDEF0123456789',
};
const goodBody: Record<EndpointName, unknown> = {
  download: goodPackage,
  update: { version: '1.2.3' },
  hold: { owner: 'device-api', reason: 'a print is running', ttl_s: 60 },
  release: { owner: 'device-api' },
  progress: undefined,
  cancel: undefined,
  rollback: undefined,
  history: undefined,
  versions: undefined,
  audit: undefined,
  startAudit: { repair: true },
  fleet: undefined,
  askFleet: { confirm: true },
  healthz: undefined,
};
const names = Object.keys(endpoints) as EndpointName[];

test.before(async (context) => {
  context.log = collectingLog();
  context.updater = scriptedUpdater();
  const fleet = {
    state: () => ({ ...noFleet, server: 'https://fleet.example' }),
    poll: () => undefined,
    answer: async () => void (await context.updater.cancel()),
  };
  const options = {
    host: '127.0.0.1',
    port: 0,
    version: '9.8.7',
    log: context.log,
    clock: realClock(),
    fleet,
  };
  context.server = await startServer(context.updater, options);
  context.document = (await fetchJson(context, 'GET', '/openapi.json')).body;
});

test.before.each((context) => {
  context.updater.fail(undefined);
  context.updater.setProgress({ stage: 'idle', progress: 0, message: '', error: null });
  context.updater.calls.length = 0;
});

test.after(async ({ server }) => {
  await server.close();
});

test('the document is OpenAPI 3.1, names the version and describes exactly the endpoints', ({ document }) => {
  assert.is(document.openapi, '3.1.0');
  assert.is((document.info as Json).version, '9.8.7');
  const described = Object.entries(document.paths as Record<string, Json>).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const expected = names.map((name) => `${endpoints[name].method} ${endpoints[name].path}`);
  const others = Object.values(documents).map(({ path }) => `GET ${path}`);
  assert.equal(described.sort(), [...expected, ...others].sort());
});

for (const name of names)
  test(`${name}: success fits the document`, async (context) => {
    const reply = await call(context, name, goodBody[name]);
    assert.is(reply.status, 200);
    assert.is(reply.body.code, 200);
    assert.is(reply.body.msg, 'success');
    assertFits(context, name, reply.body);
  });

for (const name of names.filter((name) => !['progress', 'audit', 'fleet', 'healthz'].includes(name)))
  test(`${name}: every error code of the updater is HTTP 200 with its code and words in the envelope`, async (context) => {
    for (const code of errorCodes) {
      context.updater.fail(new UpdateError(code, 'expected a, got b'));
      const reply = await call(context, name, goodBody[name]);
      assert.is(reply.status, 200);
      assert.equal(reply.body, { code: apiCode(code), msg: `${code}: expected a, got b` });
      assertFits(context, name, reply.body);
    }
  });

test('askFleet takes poll or confirm, not both, not neither', async (context) => {
  for (const body of [{}, { poll: true, confirm: true }, { poll: false }, { confirm: 'yes' }]) {
    const reply = await call(context, 'askFleet', body);
    assert.is(reply.body.code, 400);
    assert.match(String(reply.body.msg), /VALIDATION_ERROR: .*(poll|confirm)/);
  }
  assert.is((await call(context, 'askFleet', { poll: true })).body.code, 200);
});

for (const stage of stages)
  test(`progress: stage ${stage} fits the document`, async (context) => {
    const error = stage === 'failed' ? 'MD5_MISMATCH: expected a, got b' : null;
    context.updater.setProgress({ stage, progress: 42, message: 'words', error });
    const { status, body } = await call(context, 'progress', undefined);
    assert.is(status, 200);
    assertFits(context, 'progress', body);
    assert.equal(body.data, { stage, progress: 42, message: 'words', error });
  });

test('progress: when failed, code 500, msg the error, stage and progress at the root and in data', async (context) => {
  const data = {
    stage: 'failed',
    progress: 42,
    message: 'words',
    error: 'DISK_FULL: 1 free, 2 needed',
  } as const;
  context.updater.setProgress(data);
  const { body } = await call(context, 'progress', undefined);
  assert.equal(body, { code: 500, msg: data.error, stage: 'failed', progress: 42, data });
});

test('history: entries come as they are', async (context) => {
  const entry = {
    id: 'a',
    kind: 'update',
    version: '1.2.3',
    previous_version: null,
    started_at: '2025-11-27T10:00:00.000Z',
    ended_at: '2025-11-27T10:01:00.000Z',
    outcome: 'failed',
    error: 'DEPLOYMENT_FAILED: EIO',
    bytes: 5,
    modules: ['device-api'],
  } as const;
  context.updater.setHistory([entry]);
  const { body } = await call(context, 'history', undefined);
  assertFits(context, 'history', body);
  assert.equal(body.data, { updates: [entry] });
});

test('download: the request reaches the updater with digests in lower case and without unknown fields', async (context) => {
  const sha = 'A'.repeat(64);
  await call(context, 'download', { ...goodPackage, package_sha256: sha, later: { field: 1 } });
  const expected = {
    ...goodPackage,
    package_md5: goodPackage.package_md5.toLowerCase(),
    package_sha256: sha.toLowerCase(),
  };
  assert.equal(context.updater.calls, [`download ${JSON.stringify(expected)}`]);
});

test('download: the same package again answers its current stage', async (context) => {
  const { body } = await call(context, 'download', goodPackage);
  assert.equal(body, { code: 200, msg: 'success', data: { status: 'downloading' satisfies Stage } });
});

test('cancel and rollback need no body; rollback may name a version', async (context) => {
  await call(context, 'cancel', undefined);
  await call(context, 'cancel', {});
  await call(context, 'rollback', undefined);
  await call(context, 'rollback', { version: '1.0.0' });
  assert.equal(context.updater.calls, ['cancel', 'cancel', 'rollback undefined', 'rollback 1.0.0']);
});

const without = (key: keyof typeof goodPackage) =>
  Object.fromEntries(Object.entries(goodPackage).filter(([name]) => name !== key));
const badRequests: readonly (readonly [EndpointName, string, unknown])[] = [
  ...(Object.keys(goodPackage) as (keyof typeof goodPackage)[]).map(
    (key) => ['download', `${key}: is missing`, without(key)] as const,
  ),
  [
    'download',
    'version: must be a version such as 1.2.3, 1.2.3-rc.1 or 1.2.3+build.7 (semver.org)',
    { ...goodPackage, version: '1.2' },
  ],
  [
    'download',
    'version: must be a version such as 1.2.3, 1.2.3-rc.1 or 1.2.3+build.7 (semver.org)',
    { ...goodPackage, version: '01.2.3' },
  ],
  [
    'download',
    'version: must be a version such as 1.2.3, 1.2.3-rc.1 or 1.2.3+build.7 (semver.org)',
    { ...goodPackage, version: '1.2.3\n' },
  ],
  ['download', 'version: must be a string, not a number', { ...goodPackage, version: 1 }],
  ['download', 'version: must be a string, not null', { ...goodPackage, version: null }],
  ['download', 'package_url: must be an absolute URL', { ...goodPackage, package_url: '/p.zip' }],
  ['download', 'package_name: must be a bare file name', { ...goodPackage, package_name: '../p.zip' }],
  ['download', 'package_name: must be a bare file name', { ...goodPackage, package_name: 'a/b' }],
  ['download', 'package_name: must be a bare file name', { ...goodPackage, package_name: '.hidden' }],
  ['download', 'package_name: must be a bare file name', { ...goodPackage, package_name: 'a\0b' }],
  ['download', 'package_size: must be a number of bytes greater than 0', { ...goodPackage, package_size: 0 }],
  [
    'download',
    'package_size: must be a number of bytes greater than 0',
    { ...goodPackage, package_size: -1 },
  ],
  ['download', 'package_size: ', { ...goodPackage, package_size: 1.5 }],
  ['download', 'package_size: must be a number, not a string', { ...goodPackage, package_size: '1234' }],
  ['download', 'package_size: must be a number, not an array', { ...goodPackage, package_size: [1] }],
  ['download', 'package_md5: must be 32 hexadecimal digits', { ...goodPackage, package_md5: 'xyz' }],
  ['download', 'package_sha256: must be 64 hexadecimal digits', { ...goodPackage, package_sha256: 'ab' }],
  ['update', 'version: is missing', {}],
  ['update', 'version: must be a string, not an object', { version: {} }],
  [
    'rollback',
    'version: must be a version such as 1.2.3, 1.2.3-rc.1 or 1.2.3+build.7 (semver.org)',
    { version: 'latest' },
  ],
  ['download', 'body: must be a JSON object, not an array', [goodPackage]],
  ['update', 'body: must be a JSON object, not a string', 'version'],
  ['cancel', 'body: must be a JSON object, not null', null],
];
for (const [name, expected, body] of badRequests)
  test(`${name} refuses ${JSON.stringify(body).slice(0, 60)} with "${expected}"`, async (context) => {
    const reply = await call(context, name, body);
    assertRefused(context, name, reply, expected);
  });

const badBytes: readonly (readonly [string, string, Uint8Array])[] = [
  ['an empty body', 'body: is empty', Buffer.from('')],
  ['text that is not JSON', 'body: is not JSON', Buffer.from('{"version":')],
  ['bytes that are not UTF-8', 'body: is not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
  ['an overlong UTF-8 slash', 'body: is not UTF-8', Buffer.from('{"version":"\xc0\xaf"}', 'latin1')],
  ['60,000 opening brackets', 'body: is not JSON', Buffer.from('['.repeat(60_000))],
  ['30,000 nested arrays', 'must be a JSON object', Buffer.from('['.repeat(30_000) + ']'.repeat(30_000))],
  ['a planted prototype', 'version: is missing', Buffer.from('{"__proto__":{"version":"1.2.3"}}')],
];
for (const [what, expected, bytes] of badBytes)
  test(`update refuses ${what}`, async (context) => {
    const reply = await send(context, 'POST', endpoints.update.path, bytes);
    assertRefused(context, 'update', reply, expected);
  });

test('all fields that are wrong are named at once, and no value is repeated', async (context) => {
  const { body } = await call(context, 'download', {
    version: 'secret',
    package_url: 'secret',
    package_size: 'secret',
  });
  for (const field of ['version', 'package_url', 'package_name', 'package_size', 'package_md5'])
    assert.ok(String(body.msg).includes(`${field}: `), String(body.msg));
  assert.not.match(String(body.msg), /secret/);
});

test('an unexpected failure is INTERNAL_ERROR 500 in the envelope, and logged with its stack', async (context) => {
  context.updater.fail(new TypeError('cannot read properties'));
  const reply = await call(context, 'update', { version: '1.2.3' });
  assert.is(reply.status, 200);
  assert.is(reply.body.code, 500);
  assert.match(String(reply.body.msg), /^INTERNAL_ERROR: .*cannot read properties/);
  assertFits(context, 'update', reply.body);
  assert.ok(context.log.lines.some((line) => line.startsWith('error ') && line.includes('contract.test.ts')));
});

const outside: readonly (readonly [string, number, string, string, Record<string, string>])[] = [
  ['an unknown path', 404, 'GET', '/api/v1.0/nothing', {}],
  ['a path that only looks encoded', 404, 'GET', '/api/v1.0/%70rogress', {}],
  ['a trailing slash', 404, 'GET', '/api/v1.0/progress/', {}],
  ['a double slash', 404, 'GET', '//openapi.json', {}],
  ['GET of a command', 405, 'GET', '/api/v1.0/download', {}],
  ['DELETE of progress', 405, 'DELETE', '/api/v1.0/progress', {}],
  ['a preflight', 405, 'OPTIONS', '/api/v1.0/update', {}],
  ['a form', 415, 'POST', '/api/v1.0/update', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['text', 415, 'POST', '/api/v1.0/cancel', { 'content-type': 'text/plain' }],
  [
    'JSON by another name',
    415,
    'POST',
    '/api/v1.0/update',
    { 'content-type': 'application/json-patch+json' },
  ],
  ['packed JSON', 415, 'POST', '/api/v1.0/update', { 'content-encoding': 'gzip' }],
];
for (const [what, status, method, path, headers] of outside)
  test(`${what} is plain HTTP ${status}, with the envelope`, async (context) => {
    const reply = await send(
      context,
      method,
      path,
      method === 'POST' ? '{"version":"1.2.3"}' : undefined,
      headers,
    );
    assert.is(reply.status, status);
    assert.is(reply.body.code, status);
    assert.equal(schemaErrors({ $ref: '#/components/schemas/HttpError' }, reply.body, context.document), []);
    assert.equal(context.updater.calls, []);
    if (status === 405)
      assert.is(reply.headers.get('allow'), path.endsWith('progress') ? 'GET, HEAD' : 'POST');
  });

test('a query string changes nothing, and a charset may be named', async (context) => {
  assert.is((await send(context, 'GET', '/api/v1.0/progress?x=1', undefined)).status, 200);
  const headers = { 'content-type': 'Application/JSON; charset=utf-8' };
  assert.is(
    (await send(context, 'POST', endpoints.update.path, '{"version":"1.2.3"}', headers)).body.code,
    200,
  );
});

test('HEAD answers the headers of GET', async ({ server }) => {
  const response = await fetch(`http://127.0.0.1:${server.port}/api/v1.0/progress`, { method: 'HEAD' });
  assert.is(response.status, 200);
  assert.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
  assert.is(response.headers.get('cache-control'), 'no-store');
  assert.is(await response.text(), '');
});

test('a body over 64 KiB is 413, one that declares no length is 411; the largest allowed is read', async (context) => {
  const path = endpoints.update.path;
  const fill = (size: number) => `{"version":"1.2.3","x":"${'y'.repeat(size - 26)}"}`;
  assert.is((await send(context, 'POST', path, fill(65_536))).body.code, 200);
  const declared = await send(context, 'POST', path, fill(65_537));
  assert.is(declared.status, 413);
  assert.is(declared.body.code, 413);
  const chunks = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from(fill(100)));
      controller.close();
    },
  });
  const inChunks = await send(context, 'POST', path, chunks);
  assert.is(inChunks.status, 411);
  assert.is(inChunks.body.code, 411);
});

function assertFits({ document }: Context, name: EndpointName, body: Json): void {
  const { path, method } = endpoints[name];
  const paths = document.paths as Record<string, Record<string, Json>>;
  const operation = paths[path]?.[method.toLowerCase()] as { responses: Record<string, Json> };
  const content = operation.responses['200']?.content as Record<string, { schema: Json }>;
  const schema = content['application/json']?.schema;
  if (schema === undefined) throw new Error(`the document has no reply for ${name}`);
  assert.equal(schemaErrors(schema, body, document), []);
}

function assertRefused(context: Context, name: EndpointName, reply: Reply, expected: string): void {
  assert.is(reply.status, 200);
  assert.is(reply.body.code, 400);
  assert.match(String(reply.body.msg), /^VALIDATION_ERROR: /);
  assert.ok(String(reply.body.msg).includes(expected), String(reply.body.msg));
  assertFits(context, name, reply.body);
  assert.equal(context.updater.calls, []);
}

function call(context: Context, name: EndpointName, body: unknown): Promise<Reply> {
  const { method, path } = endpoints[name];
  return send(context, method, path, body === undefined ? undefined : JSON.stringify(body));
}

function fetchJson(context: Context, method: string, path: string): Promise<Reply> {
  return send(context, method, path, undefined);
}

async function send(
  { server }: Context,
  method: string,
  path: string,
  body: string | Uint8Array | ReadableStream | undefined,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    method,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body, duplex: 'half' }),
    signal: AbortSignal.timeout(10_000),
  } as RequestInit);
  return { status: response.status, body: (await response.json()) as Json, headers: response.headers };
}

test.run();
