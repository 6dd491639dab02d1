/** The output files of restarted programs: bounded while their programs write on, and read for an error. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { watchDirectory } from '../../src/host/directory-watch.ts';
import { realFiles } from '../../src/host/files.ts';
import { limits } from '../../src/limits.ts';
import { boundOutputs, outputSince } from '../../src/services/output.ts';
import { eventually } from './device.ts';

const test = suite('services/output');
const unwatched = () => () => undefined;

interface Place {
  readonly directory: string;
  readonly file: string;
  readonly warnings: string[];
  readonly host: Parameters<typeof boundOutputs>[0];
  /** Lets the time pass until the next look, and that look. */
  lookAgain(): Promise<void>;
}

async function withPlace(body: (place: Place) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tope-output-'));
  const warnings: string[] = [];
  const none = () => undefined;
  let armed: { readonly ms: number; readonly action: () => void } | undefined;
  const clock = {
    ...realClock(),
    after: (ms: number, action: () => void) => {
      armed = { ms, action };
      return () => {
        armed = undefined;
      };
    },
  };
  const log = { debug: none, info: none, error: none, warn: (text: string) => void warnings.push(text) };
  const next = () => eventually('the next look is due', async () => armed);
  try {
    await body({
      directory,
      file: join(directory, 'api.out'),
      warnings,
      host: { files: realFiles(), clock, log },
      lookAgain: async () => {
        const { ms, action } = await next();
        assert.is(ms, limits.outputCheckMs);
        armed = undefined;
        action();
        await next();
      },
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A program that appends each line it is given to its output, which it keeps open. */
function program(file: string): { child: ChildProcess; say(text: string): void } {
  const output = openSync(file, 'a', 0o640);
  const child = spawn('cat', [], { stdio: ['pipe', output, 'ignore'] });
  return { child, say: (text) => child.stdin?.write(text) };
}

test('what a program writes without end stays bounded while it writes on, and the end of it is kept', () =>
  withPlace(async ({ file, host, directory, lookAgain }) => {
    writeFileSync(file, `${'x'.repeat(limits.outputFileBytes)}the end of the old\n`, { mode: 0o640 });
    writeFileSync(join(directory, 'updater.log'), 'y'.repeat(limits.outputFileBytes + 1));
    const { child, say } = program(file);
    const outputs = boundOutputs(host, directory, unwatched);
    await eventually('it is begun anew', async () => statSync(file).size === 0);
    for (let round = 0; round < 3; round++) {
      say(`${'x'.repeat(2 * limits.outputFileBytes)}end of round ${round}\n`);
      await eventually('it is written', async () => statSync(file).size > 2 * limits.outputFileBytes);
      await lookAgain();
      assert.is(statSync(file).size, 0);
      assert.is(statSync(`${file}.1`).size, limits.outputFileBytes);
      assert.is(statSync(`${file}.1`).mode & 0o777, 0o640);
      assert.match(readFileSync(`${file}.1`, 'utf8').slice(-30), `xxxxend of round ${round}\n`);
    }
    say('short\n');
    await eventually(
      'what follows begins at its beginning',
      async () => readFileSync(file, 'utf8') === 'short\n',
    );
    await lookAgain();
    assert.is(readFileSync(file, 'utf8'), 'short\n');
    assert.is(statSync(join(directory, 'updater.log')).size, limits.outputFileBytes + 1);
    await outputs.stop();
    child.kill();
  }));

test('room that a program sets aside beyond the end of its output is given back', () =>
  withPlace(async ({ file, host, directory }) => {
    writeFileSync(file, 'short\n', { mode: 0o640 });
    const setAside = spawnSync('fallocate', ['--keep-size', '--length', String(64 << 20), file]);
    if (setAside.status !== 0) return console.log('skipped: no fallocate here');
    assert.ok(statSync(file).blocks * 512 > limits.outputFileBytes);
    await boundOutputs(host, directory, unwatched).stop();
    assert.equal([statSync(file).size, statSync(file).blocks], [0, 0]);
    assert.is(readFileSync(`${file}.1`, 'utf8'), 'short\n');
  }));

test('what grows is looked at soon, again and again', () =>
  withPlace(async ({ file, host: { files, log }, directory }) => {
    const { child, say } = program(file);
    const delays: number[] = [];
    const real = realClock();
    const clock = {
      ...real,
      after: (ms: number, action: () => void) => {
        delays.push(ms);
        return real.after(ms, action);
      },
    };
    const outputs = boundOutputs({ files, log, clock }, directory, watchDirectory);
    try {
      for (let round = 0; round < 3; round++) {
        say('x'.repeat(2 * limits.outputFileBytes));
        await eventually(
          'it is begun anew',
          async () => existsSync(`${file}.1`) && statSync(file).size === 0,
        );
        rmSync(`${file}.1`);
      }
      assert.ok(delays.includes(limits.outputGrowthMs));
    } finally {
      await outputs.stop();
      child.kill();
    }
  }));

test('what cannot be kept is given up: the file is bounded all the same, and that is said', () =>
  withPlace(async ({ file, host, directory, warnings }) => {
    writeFileSync(file, 'x'.repeat(limits.outputFileBytes + 1));
    mkdirSync(`${file}.1`);
    await boundOutputs(host, directory, unwatched).stop();
    assert.is(statSync(file).size, 0);
    assert.match(warnings.join(), /bounding the output of programs/);
    await boundOutputs(host, join(directory, 'nothing'), watchDirectory).stop();
  }));

test('the end of an output is what came behind its beginning, also where it was begun anew meanwhile', () =>
  withPlace(async ({ file, host }) => {
    assert.is(await outputSince(host.files, file, 0), '');
    writeFileSync(file, 'before\nafter\n');
    assert.is(await outputSince(host.files, file, 7), 'after');
    assert.is(await outputSince(host.files, file, 13), '');
    assert.is(await outputSince(host.files, file, 1_000_000), 'before\nafter');
    assert.not(existsSync(`${file}.1`));
  }));

test.run();
