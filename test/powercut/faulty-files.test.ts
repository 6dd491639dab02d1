import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errno } from '../../src/errors.ts';
import { readWhole, writeDurably } from '../../src/host/durable-file.ts';
import { Crash, canFail, type FaultCode, faultyFiles } from './faulty-files.ts';
import { modelDisk } from './model-disk.ts';
import { emptyModel, fingerprint } from './model-state.ts';

const test = suite('faulty files');
const codes: readonly FaultCode[] = ['ENOSPC', 'EIO', 'EACCES', 'EMFILE'];
const content = Buffer.from('content');

async function recordedCalls() {
  const whole = faultyFiles(modelDisk(emptyModel()).files);
  await writeDurably(whole.files, '/a', content);
  return whole.calls;
}

test('writes down every call, numbered from 1, in order', async () => {
  assert.equal(
    (await recordedCalls()).map((call) => `${call.number} ${call.name} ${call.path}`),
    [
      '1 stat /a.new',
      '2 create /a.new',
      '3 file.write /a.new',
      '4 file.sync /a.new',
      '5 file.close /a.new',
      '6 rename /a.new -> /a',
      '7 syncDirectory /',
    ],
  );
});

test('the n-th call fails with the code asked for, and only it', async () => {
  for (const code of codes) {
    for (const call of (await recordedCalls()).filter((each) => canFail(each, code))) {
      const disk = modelDisk(emptyModel());
      const faulty = faultyFiles(disk.files, { kind: 'fail', at: call.number, code });
      const thrown = await writeDurably(faulty.files, '/a', content).then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.is(errno(thrown), code, `${code} at ${call.name}`);
      assert.is(disk.openCount(), 0, `${code} at ${call.name} leaks a descriptor`);
      await writeDurably(faulty.files, '/a', content);
      assert.equal(Buffer.from((await readWhole(disk.files, '/a', 100)) ?? []), content);
    }
  }
});

test('a kill is the last thing that happens: nothing after it reaches the disk', async () => {
  const calls = await recordedCalls();
  for (const call of calls) {
    const disk = modelDisk(emptyModel());
    const { files } = faultyFiles(disk.files, { kind: 'kill', at: call.number });
    const thrown = await writeDurably(files, '/a', content).catch((error: unknown) => error);
    assert.instance(thrown, Crash);
    const left = fingerprint(disk.state());
    assert.instance(await files.makeDirectory('/d', 0o755).catch((error: unknown) => error), Crash);
    assert.is(fingerprint(disk.state()), left);
  }
});

test.run();
