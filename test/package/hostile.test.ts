/** Every package of the hostile corpus is refused with its own error, leaves no file behind and takes little memory. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Attempt } from '../fixtures/hostile/attempt.ts';
import { hostileCases } from '../fixtures/hostile/corpus.ts';
import { packageWith } from '../fixtures/hostile/honest.ts';
import { compile } from '../runner/compiled.ts';

const hostile = suite('hostile packages');
const directory = mkdtempSync(join(tmpdir(), 'hostile-'));
const packages = join(directory, 'packages');
const device = join(directory, 'device');
const cases = hostileCases();
const attempts = new Map<string, Attempt>();

hostile.before(async () => {
  mkdirSync(packages);
  for (const { name, expected, bytes } of cases)
    writeFileSync(join(packages, `${expected}.${name}.zip`), bytes());
  writeFileSync(join(packages, 'honest.zip'), packageWith([]));
  const output = await tryAll();
  for (const line of output.trim().split('\n')) {
    const attempt: Attempt = JSON.parse(line);
    attempts.set(attempt.file, attempt);
  }
});
hostile.after(() => rmSync(directory, { recursive: true, force: true }));

hostile('the package that all of them vary is accepted', () => {
  assert.is(attempts.get('honest.zip')?.error, null);
  assert.equal(readdirSync(join(device, 'opt/tope')), ['app']);
});

for (const { name, expected, says } of cases) {
  hostile(`${name} is refused as ${expected}`, () => {
    const attempt = attempts.get(`${expected}.${name}.zip`);
    const error = attempt?.error ?? 'accepted, or not tried';
    assert.ok(error.startsWith(`${expected}: `), error);
    assert.match(error, says);
    assert.is(attempt?.isBug, false);
    assert.ok(isOneLine(error), `more than one printable line: ${JSON.stringify(error)}`);
  });
}

hostile('every case has a name of its own', () => {
  assert.is(new Set(cases.map(({ name }) => name)).size, cases.length);
});

hostile('nothing is written outside the allowed root', () => {
  assert.equal(readdirSync(directory).sort(), ['device', 'packages']);
  assert.equal(readdirSync(device), ['opt']);
  assert.equal(readdirSync(join(device, 'opt')), ['tope']);
  assert.not(existsSync('/opt/tope/app'));
});

hostile('memory and time stay bounded', () => {
  const all = [...attempts.values()];
  const largest = all.reduce((a, b) => (b.growthKiB > a.growthKiB ? b : a));
  const slowest = all.reduce((a, b) => (b.elapsedMs > a.elapsedMs ? b : a));
  console.log(
    `\nmeasured: ${all.length} packages; most memory ${(largest.growthKiB / 1024).toFixed(1)} MiB (${largest.file}), ` +
      `longest ${slowest.elapsedMs} ms (${slowest.file})`,
  );
  assert.ok(largest.growthKiB < 48 * 1024, `${largest.file}: ${largest.growthKiB} KiB`);
  assert.ok(slowest.elapsedMs < 20_000, `${slowest.file}: ${slowest.elapsedMs} ms`);
});

hostile.run();

function isOneLine(text: string): boolean {
  return [...text].every((character) => character >= ' ' && !/[\u007f-\u009f\u2028-\u202e]/.test(character));
}

/** What attempt.ts says of each package; rejects where it fails or takes over a minute. In a process of its own: its memory is measured. */
async function tryAll(): Promise<string> {
  mkdirSync('dist', { recursive: true });
  const compiled = mkdtempSync(resolve('dist/hostile-'));
  try {
    const program = 'test/fixtures/hostile/attempt.ts';
    const script = (await compile([program], compiled)).get(program) ?? program;
    const argv = ['--enable-source-maps', '--expose-gc', script, packages, device];
    return (await promisify(execFile)(process.execPath, argv, { timeout: 60_000, maxBuffer: 2 ** 24 }))
      .stdout;
  } finally {
    rmSync(compiled, { recursive: true, force: true });
  }
}
