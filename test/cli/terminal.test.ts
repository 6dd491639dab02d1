/** The commands on a terminal: questions, passwords, colour, the line that is redrawn. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { buildPackage } from '../fixtures/package-builder.ts';
import { cheapKeyFile } from '../fixtures/secret-key-file.ts';
import { withDevice } from '../integration/harness.ts';
import { suite } from '../runner/suites.ts';
import { type CommandEnd, type CommandOptions, command, commandOnTerminal } from './command.ts';

const test = suite('terminal');
const hasScript = spawnSync('script', ['--version']).error === undefined;
if (!hasScript) console.log('skipped: terminal: the program "script" (bsdutils) is not installed');
const testOnTerminal = hasScript ? test : test.skip;
const testOnTerminalLong = hasScript ? test.long : test.skip;
const esc = '\u001b';

/** The lines as they stand in the end: what was redrawn shows its last form only. */
function shownLines({ stdout }: CommandEnd): string[] {
  return stdout.split(/\r?\n/).map((line) => line.split(`\r${esc}[K`).at(-1) ?? '');
}

testOnTerminalLong(
  'install asks, shows a bar with bytes, rate and time left, and ends with a line that stays',
  async () => {
    await withDevice(async (device) => {
      const path = join(device.folder, 'usb-2.0.0.zip');
      const padding = { 'modules/model.bin': { content: { random: 3_000_000 } } };
      await buildPackage(device.usual('2.0.0', padding), path);
      const daemon = await device.start(['--rate-limit', '1000000']);
      const no = await commandOnTerminal(['install', path, '--url', daemon.url], { input: 'n\n' });
      assert.is(no.status, 1);
      assert.match(
        no.stdout,
        /usb-2\.0\.0\.zip, 3\.0 MB: 3 files are replaced, alpha-\w+ and beta-\w+ restart; version 2\.0\.0 is the first\. Install it on this device\? \[y\/N\]/,
      );
      assert.match(no.stdout, /nothing was done/);
      assert.is((await daemon.progress()).stage, 'idle');

      const yes = await commandOnTerminal(['install', path, '--url', daemon.url], { input: 'y\n' });
      assert.is(yes.status, 0, yes.stdout);
      assert.match(
        yes.stdout,
        /\[=+>? *\] {3}\d\d % {2}\d\.\d of 3\.0 MB, (\d\.\d MB|[\d.]+ kB)\/s, \d s left/,
      );
      const bold = `${esc}[1mtoInstall${esc}[0m    the package is verified and waits to be installed`;
      assert.ok(shownLines(yes).includes(bold), yes.stdout);
      assert.ok(shownLines(yes).includes(`${esc}[32msuccess${esc}[0m      the update was installed`));
      const next = join(device.folder, 'usb-2.1.0.zip');
      await buildPackage(device.usual('2.1.0'), next);
      const again = await commandOnTerminal(['install', next, '--url', daemon.url], { input: 'n\n' });
      assert.match(
        again.stdout,
        /usb-2\.1\.0\.zip, .*: 3 files are replaced, .* restart; from 2\.0\.0 to 2\.1\.0\. Install it on this device\?/,
      );
      const codes = new RegExp(`${esc}\\[\\d+m`, 'g');
      for (const line of shownLines(yes)) assert.ok(line.replace(codes, '').length < 100, line);
    });
  },
);

testOnTerminal('NO_COLOR and TERM=dumb are respected', async () => {
  await withDevice(async (device) => {
    const daemon = await device.start();
    const history = async (environment: CommandOptions['environment'] = {}) =>
      (await commandOnTerminal(['doctor', '--url', daemon.url, '--dir', device.work], { environment }))
        .stdout;
    assert.ok((await history()).includes(`${esc}[`));
    assert.not.ok((await history({ NO_COLOR: '1' })).includes(`${esc}[`));
    assert.not.ok((await history({ TERM: 'dumb' })).includes(`${esc}[`));
  });
});

testOnTerminal('the password of a key is not shown while it is typed; backspace takes back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-'));
  try {
    const key = join(folder, 'secret.key');
    writeFileSync(key, cheapKeyFile('open sesame'));
    await command(['init', join(folder, 'starter')]);
    const args = ['pack', join(folder, 'starter'), '--sign', key, '-o', join(folder, 'p.zip')];
    const typed = await commandOnTerminal(args, {
      on: [{ when: /password of .*: $/, act: ({ type }) => type('open sesamx\u007fe\n') }],
    });
    assert.is(typed.status, 0, typed.stdout);
    assert.match(typed.stdout, /password of \S+secret\.key: /);
    assert.not.match(typed.stdout, /sesam/);
    assert.match(typed.stdout, /signed with key [0-9A-F]+/);

    const bytes = readFileSync(join(folder, 'p.zip'));
    const piped = await command(args, { input: 'open sesame\n' });
    assert.is(piped.status, 0, piped.stderr);
    assert.ok(bytes.equals(readFileSync(join(folder, 'p.zip'))), 'the same package, byte for byte');

    const wrong = await command(args, { input: 'open sesam' });
    assert.equal([wrong.status, wrong.stdout], [1, '']);
    assert.match(wrong.stderr, /secret key: wrong password/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
