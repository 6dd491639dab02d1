/** Bytes of the kernel as text and back. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pathBytes, rawBytes, rawText } from '../../src/host/raw-text.ts';

const test = suite('raw text');

test('any bytes come back as they were, through JSON too', () => {
  const samples = [
    Buffer.from('plain'),
    Buffer.from('模块 \u{1f600} \ufffd'),
    Buffer.from([0x62, 0xfc, 0x72, 0x6f]),
    Buffer.from([0xe6, 0xa8, 0x41, 0xff, 0xf0, 0x9f, 0x98]),
    Buffer.from([0xed, 0xb2, 0x80]),
    Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
    Buffer.alloc(0),
  ];
  for (const bytes of samples)
    assert.equal(rawBytes(JSON.parse(JSON.stringify(rawText(bytes)))), bytes, bytes.toString('hex'));
});

test('a path that is text is given to the system as text', () => {
  assert.is(pathBytes('/opt/模块'), '/opt/模块');
  assert.equal(pathBytes(rawText(Buffer.from([0x2f, 0xfc]))), Buffer.from([0x2f, 0xfc]));
});

test.run();
