/** The log: its lines, rotation, and that no disk, reader or message can stop or fool it. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFiles } from '../../src/host/files.ts';
import type { Files } from '../../src/host/host.ts';
import { openLog } from '../../src/host/log.ts';
import { limits } from '../../src/limits.ts';

const test = suite('log');

function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'tope-log-'));
}

function collector() {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { stream, text: () => text };
}

test('a line has an ISO 8601 time, its level and the text, in the file (mode 0640) and on stdout', async () => {
  const directory = scratch();
  const out = collector();
  const log = await openLog({ directory, level: 'debug', stdout: out.stream });
  log.debug('one');
  log.info('two');
  log.warn('three');
  log.error('four');
  await log.close();
  const text = readFileSync(join(directory, 'updater.log'), 'utf8');
  const lines = text.trimEnd().split('\n');
  assert.is(lines.length, 4);
  for (const [index, end] of ['DEBUG one', 'INFO  two', 'WARN  three', 'ERROR four'].entries())
    assert.match(
      lines[index] ?? '',
      new RegExp(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z ${end}$`),
    );
  assert.is(out.text(), text);
  assert.is(statSync(join(directory, 'updater.log')).mode & 0o777, 0o640);
  rmSync(directory, { recursive: true });
});

test('levels below the configured one are dropped', async () => {
  const directory = scratch();
  const log = await openLog({ directory, level: 'warn' });
  log.info('quiet');
  log.warn('loud');
  await log.close();
  const text = readFileSync(join(directory, 'updater.log'), 'utf8');
  assert.match(text, /loud/);
  assert.not.match(text, /quiet/);
  rmSync(directory, { recursive: true });
});

test('one call is one line: line breaks, escapes and direction marks are written out', async () => {
  const directory = scratch();
  const log = await openLog({ directory, level: 'info' });
  log.info('a\n2030-01-01T00:00:00.000Z ERROR forged\r\x1b[31m\u2028\u202e\u0085 grüße \u{1f600}');
  await log.close();
  const text = readFileSync(join(directory, 'updater.log'), 'utf8');
  assert.is(text.split('\n').length, 2);
  assert.ok(
    text.includes(
      'a\\n2030-01-01T00:00:00.000Z ERROR forged\\u000d\\u001b[31m\\u2028\\u202e\\u0085 grüße \u{1f600}',
    ),
  );
  rmSync(directory, { recursive: true });
});

test('query strings and passwords of URLs are never shown', async () => {
  const directory = scratch();
  const log = await openLog({ directory, level: 'info' });
  log.info(
    'GET https://me:secret@store.example/p.zip?X-Amz-Signature=abc failed (http://h/x?sig=abc), https://h/plain',
  );
  await log.close();
  const text = readFileSync(join(directory, 'updater.log'), 'utf8');
  assert.not.match(text, /secret|abc/);
  assert.ok(text.includes('GET https://store.example/p.zip?... failed (http://h/x?...'), text);
  assert.ok(text.includes('https://h/plain'));
  rmSync(directory, { recursive: true });
});

test('json lines carry time, level and message', async () => {
  const directory = scratch();
  const log = await openLog({ directory, level: 'info', format: 'json' });
  log.warn('say "hi"');
  await log.close();
  const line = JSON.parse(readFileSync(join(directory, 'updater.log'), 'utf8'));
  assert.is(line.level, 'warn');
  assert.is(line.message, 'say "hi"');
  assert.is(new Date(line.time).toISOString(), line.time);
  rmSync(directory, { recursive: true });
});

test('at 10 MB the file rotates; three are kept and the oldest falls out', async () => {
  const directory = scratch();
  const path = join(directory, 'updater.log');
  writeFileSync(path, 'x'.repeat(limits.logFileBytes - 10));
  writeFileSync(`${path}.1`, 'first');
  writeFileSync(`${path}.2`, 'second');
  const log = await openLog({ directory, level: 'info' });
  log.info('fresh');
  await log.close();
  assert.equal(readdirSync(directory).sort(), ['updater.log', 'updater.log.1', 'updater.log.2']);
  assert.match(readFileSync(path, 'utf8'), /^\S+ INFO {2}fresh\n$/);
  assert.is(statSync(`${path}.1`).size, limits.logFileBytes - 10);
  assert.is(readFileSync(`${path}.2`, 'utf8'), 'first');
  rmSync(directory, { recursive: true });
});

test('a symlink planted at updater.log is not followed, and said on stdout', async () => {
  const directory = scratch();
  const victim = join(directory, 'victim');
  writeFileSync(victim, 'precious');
  chmodSync(victim, 0o600);
  symlinkSync(victim, join(directory, 'updater.log'));
  const out = collector();
  const log = await openLog({ directory, level: 'info', stdout: out.stream });
  log.info('hello');
  await log.close();
  assert.is(readFileSync(victim, 'utf8'), 'precious');
  assert.is(statSync(victim).mode & 0o777, 0o600);
  assert.match(out.text(), /ERROR the log file cannot be written: .*updater\.log is a symlink/);
  assert.match(out.text(), /INFO {2}hello/);
  rmSync(directory, { recursive: true });
});

test('a missing directory costs the file, not the daemon: the lines go to stdout', async () => {
  const out = collector();
  const log = await openLog({ directory: join(scratch(), 'nowhere'), level: 'info', stdout: out.stream });
  log.info('still here');
  await log.close();
  assert.match(out.text(), /ERROR the log file cannot be written: .*ENOENT/);
  assert.match(out.text(), /still here/);
});

test('a full disk is said once for a while, not per line', async () => {
  const directory = scratch();
  const out = collector();
  const log = await openLog({ directory, level: 'info', stdout: out.stream, files: failingWrites('ENOSPC') });
  for (let index = 0; index < 50; index += 1) {
    log.info(`line ${index}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close();
  assert.is(out.text().match(/cannot be written/g)?.length, 1);
  assert.match(out.text(), /line 49/);
  rmSync(directory, { recursive: true });
});

test('a stuck disk never makes a caller wait: the queue is bounded and says how many lines it lost', async () => {
  const directory = scratch();
  const gate = heldWrites();
  const log = await openLog({ directory, level: 'info', files: gate.files });
  gate.hold();
  const line = 'y'.repeat(1000);
  const count = Math.ceil((2 * limits.logQueueBytes) / 1000);
  for (let index = 0; index < count; index += 1) log.info(line);
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (let index = 0; index < count; index += 1) log.info(line);
  gate.release();
  await log.close();
  const text = readFileSync(join(directory, 'updater.log'), 'utf8');
  assert.ok(text.length < 3 * limits.logQueueBytes);
  assert.match(text, /WARN {2}\d+ lines were dropped here: the disk is slow/);
  rmSync(directory, { recursive: true });
});

test('a reader of stdout that has gone or stopped reading is survived, within bounded memory', async () => {
  const directory = scratch();
  const gone = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('gone'), { code: 'EPIPE' })),
  });
  const log = await openLog({ directory, level: 'info', stdout: gone });
  log.info('one');
  await new Promise((resolve) => setTimeout(resolve, 5));
  log.info('two');
  await log.close();

  const stuck = new Writable({ write: () => undefined });
  const other = await openLog({ directory, level: 'info', stdout: stuck });
  for (let index = 0; index < 3000; index += 1) other.info('z'.repeat(1000));
  assert.ok(stuck.writableLength < limits.logQueueBytes + 2000);
  await other.close();
  assert.match(readFileSync(join(directory, 'updater.log'), 'utf8'), /two/);
  rmSync(directory, { recursive: true });
});

function failingWrites(code: string): Files {
  const files = realFiles();
  return {
    ...files,
    open: async (path, how) => ({
      ...(await files.open(path, how)),
      write: () => Promise.reject(Object.assign(new Error(`${code}: no space`), { code })),
    }),
  };
}

/** The real disk, whose writes wait between hold() and release(). */
function heldWrites() {
  const files = realFiles();
  let gate = Promise.resolve();
  let open: () => void = () => undefined;
  const held: Files = {
    ...files,
    open: async (path, how) => {
      const file = await files.open(path, how);
      return {
        ...file,
        write: async (bytes, position) => {
          await gate;
          await file.write(bytes, position);
        },
      };
    },
  };
  const hold = () => {
    gate = new Promise((resolve) => {
      open = resolve;
    });
  };
  return { files: held, hold, release: () => open() };
}

test.run();
