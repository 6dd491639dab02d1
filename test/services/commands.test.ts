/** Commands of packages: a clean environment, bounds of time and output, and errors that tell what the program said. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import { type CommandGroup, runCommands } from '../../src/services/commands.ts';
import { type Device, withDevice } from './device.ts';

const test = suite('commands of packages');
const never = new AbortController().signal;

function group(...commands: (string | string[])[]): CommandGroup {
  return {
    module: 'app',
    version: '1.1.0',
    previousVersion: '1.0.0',
    update: '20260101T000000000Z',
    commands: commands.map((one) => (typeof one === 'string' ? ['/bin/sh', '-c', one] : one)),
    timeoutMs: 20_000,
  };
}

const outputOf = ({ logged }: Device) =>
  logged.flatMap((line) => /^info app: \| (.*)$/.exec(line)?.[1] ?? []);

test('run one after another at /, with nothing of the environment but what is told', () =>
  withDevice(async (device) => {
    process.env.TOPE_SECRET = 'leaks';
    const first = { ...group('pwd; env | sort', ['/bin/echo', 'second']), previousVersion: null };
    await runCommands(device.host, first, 'repair', never);
    // The shell's own, and what Node adds to every program while coverage is counted.
    const shellsOwn = /^(PWD|OLDPWD|SHLVL|_|NODE_V8_COVERAGE)=/;
    assert.equal(
      outputOf(device).filter((line) => !shellsOwn.test(line)),
      [
        '/',
        'HOME=/',
        'LANG=C.UTF-8',
        'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'TOPE_KIND=repair',
        'TOPE_MODULE=app',
        'TOPE_PREVIOUS_VERSION=',
        'TOPE_UPDATE=20260101T000000000Z',
        'TOPE_VERSION=1.1.0',
        'second',
      ],
    );
  }));

test('the first that fails ends it: status and last line are told', () =>
  withDevice(async (device) => {
    const message = await failure(device, group('echo fine; echo "no such table" >&2; exit 3', 'echo never'));
    assert.match(message, /^DEPLOYMENT_FAILED: app: echo fine; .*: exit status 3: no such table$/);
    assert.not(outputOf(device).includes('never'));
  }));

test('a program that is not there is told', () =>
  withDevice(async (device) => {
    assert.match(await failure(device, group(['/no/such/program'])), /DEPLOYMENT_FAILED: app: .*ENOENT/);
  }));

test('one that takes too long is killed with all it started', () =>
  withDevice(async (device) => {
    const sign = join(device.directory, 'sign');
    const slow = { ...group(`echo waiting; (sleep 1; touch ${sign}) & sleep 60`), timeoutMs: 200 };
    assert.match(
      await failure(device, slow),
      /did not end within 0\.2 s, which "timeout_s" of the module allows each command: waiting$/,
    );
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.not(existsSync(sign));
  }));

test('a shutdown kills it, and is the reason', () =>
  withDevice(async (device) => {
    const stop = new AbortController();
    const running = runCommands(device.host, group('sleep 60'), 'install', stop.signal);
    setTimeout(() => stop.abort(new Error('shutting down')), 100);
    const reason = await running.catch((thrown: unknown) => thrown);
    assert.is(reason, stop.signal.reason);
  }));

test('what is logged of its output is bounded, and the last line is known all the same', () =>
  withDevice(async (device) => {
    const noisy = group(
      'i=0; while [ $i -lt 3000 ]; do echo "line $i xxxxxxxxxxxxxxxxx"; i=$((i+1)); done; echo end; exit 1',
    );
    assert.match(await failure(device, noisy), /exit status 1: end$/);
    const logged = outputOf(device);
    const loggedBytes = logged.reduce((sum, line) => sum + line.length, 0);
    assert.ok(loggedBytes < limits.commandLogBytes + 100, `${loggedBytes} bytes`);
    assert.match(logged.at(-1) ?? '', /^… \d+ more bytes$/);
  }));

test('output without a line end and output that is no UTF-8 do no harm', () =>
  withDevice(async (device) => {
    await runCommands(
      device.host,
      group("printf 'a\\377b'; head -c 100000 /dev/zero | tr '\\0' x"),
      'install',
      never,
    );
    assert.ok(outputOf(device).length > 0);
    for (const line of device.logged) assert.ok(line.length < 100_100);
  }));

async function failure({ host }: Device, commands: CommandGroup): Promise<string> {
  try {
    await runCommands(host, commands, 'install', never);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
  throw new Error('it did not fail');
}

test.run();
