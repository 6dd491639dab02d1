/**
 * How a device-api drives tope-updater: one whole update, in TypeScript with Node's own modules alone.
 *
 *     node device-api.ts --updater http://127.0.0.1:12315 --listen 9080 request.json
 *
 * (Node 22.18 or newer; `npx tsx` with an older one.) request.json holds the body of POST /download. Prints what happens;
 * exit status 0: installed, 1: failed or refused.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/** What GET /progress answers and what every report carries. */
interface Progress {
  readonly stage: string;
  readonly progress: number;
  readonly message: string;
  readonly error: string | null;
}

interface Reply<Data> {
  readonly code: number;
  readonly msg: string;
  readonly data: Data;
}

type Status = { readonly status: string };
type History = { readonly updates: readonly { readonly version: string; readonly outcome: string }[] };

const { values, positionals } = parseArgs({
  options: {
    updater: { type: 'string', default: 'http://127.0.0.1:12315' },
    listen: { type: 'string', default: '9080' },
  },
  allowPositionals: true,
});
const [requestFile = 'request.json'] = positionals;

/** Takes the updater's reports. Answers at once: a report has 500 ms, and any 2xx will do. */
const reports = createServer(async (incoming, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  response.writeHead(204).end();
  const report = JSON.parse(Buffer.concat(chunks).toString()) as Progress;
  console.log(`report: ${report.stage} ${report.progress} %`);
  reports.emit('report');
});

async function send<Data>(path: string, body?: object): Promise<Reply<Data>> {
  const response = await fetch(values.updater + path, {
    signal: AbortSignal.timeout(10_000),
    ...(body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return (await response.json()) as Reply<Data>;
}

/** The reply's `data`. A refusal rejects with `CODE: text`. */
async function call<Data>(path: string, body?: object): Promise<Data> {
  const reply = await send<Data>(path, body);
  if (reply.code !== 200) throw new Error(reply.msg);
  return reply.data;
}

/** A report only rings the bell; what is true is asked for. So a lost, late or repeated report does no harm. */
async function waitWhile(...stages: readonly string[]): Promise<Progress> {
  for (;;) {
    const bell = once(reports, 'report');
    // Not call(): a failed update is a stage like others, and `code` is 500 then.
    const { data: now } = await send<Progress>('/api/v1.0/progress');
    if (!stages.includes(now.stage)) return now;
    await Promise.race([bell, sleep(2_000)]);
  }
}

/** Renews the hold until the device may be disturbed. If this program dies, the hold ends by itself. */
async function holdFor(ms: number, owner: string): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(500))
    await call('/api/v1.0/hold', { owner, reason: 'a print is running', ttl_s: 30 });
  await call('/api/v1.0/release', { owner });
}

async function update(request: { readonly version: string }): Promise<Progress> {
  console.log('download:', (await call<Status>('/api/v1.0/download', request)).status);
  const waiting = await waitWhile('downloading', 'verifying');
  if (waiting.stage !== 'toInstall') return waiting;
  const holding = holdFor(1_000, 'device-api');
  const { version } = request;
  console.log('update:', (await call<Status>('/api/v1.0/update', { version })).status);
  const end = await waitWhile('installing', 'rebooting');
  await holding;
  return end;
}

reports.listen(Number(values.listen), '127.0.0.1');
await once(reports, 'listening');
try {
  const end = await update(JSON.parse(await readFile(requestFile, 'utf8')));
  const { updates } = await call<History>('/api/v1.0/history');
  const last = updates.slice(0, 1).map(({ version, outcome }) => `${version} ${outcome}`);
  console.log('end:', end.stage, end.error ?? '', ...last);
  process.exitCode = end.stage === 'success' ? 0 : 1;
} catch (thrown) {
  console.log('refused:', thrown instanceof Error ? thrown.message : thrown);
  process.exitCode = 1;
}
reports.closeAllConnections();
reports.close();
