/** The lines of a record of what is deployed (deployed-record.ts), each behind its digest; and very many of them, ready to be written. */
import { giveBack } from '../give-back.ts';
import { limits } from '../limits.ts';
import { packedTexts } from '../packed-texts.ts';
import { loadTextDigest } from '../text-digest.ts';

export interface LineCodec {
  encode(line: object): string;
  /** Undefined where the digest is another one. `bytes`: without the LF. */
  decode(bytes: Buffer): unknown;
}

export async function loadLineCodec(): Promise<LineCodec> {
  const digest = await loadTextDigest();
  return {
    encode: (line) => {
      const text = JSON.stringify(line);
      return `${digest(text)} ${text}\n`;
    },
    decode: (bytes) => {
      const json = bytes.subarray(65);
      if (digest(json) !== bytes.toString('latin1', 0, 64)) return undefined;
      return JSON.parse(json.toString('utf8')); // the digest has proven that we wrote it
    },
  };
}

/** Encoded once, and held packed: to be written without another look at any of them. */
export interface EncodedLines<T extends object> extends Iterable<T> {
  readonly length: number;
  add(line: T): void;
  /** Many lines at a time, as they stand in the file. Each is the caller's until he asks for the next one. */
  texts(): Iterable<Buffer>;
}

export async function openEncodedLines<T extends object>(): Promise<EncodedLines<T>> {
  const packed = packedTexts(await import('node:zlib'));
  const { encode } = await loadLineCodec();
  let last = '';
  let lastCount = 0;
  let length = 0;
  function* texts(): Generator<Buffer> {
    for (let index = 0; ; index++) {
      const text = packed.at(index);
      if (text === undefined) break;
      yield text;
      giveBack(text);
    }
    if (last !== '') yield Buffer.from(last);
  }
  return {
    get length() {
      return length;
    },
    add(line) {
      last += encode(line);
      lastCount += 1;
      length += 1;
      if (lastCount < limits.packedWindowValues) return;
      packed.add(Buffer.from(last));
      last = '';
      lastCount = 0;
    },
    texts,
    *[Symbol.iterator]() {
      for (const text of texts())
        for (const line of text.toString('utf8').split('\n'))
          if (line !== '') yield JSON.parse(line.slice(65)) as T;
    },
  };
}
