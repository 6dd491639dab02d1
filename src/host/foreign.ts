/** Functions of the C library by node:ffi (Node 26 and newer; experimental, so often absent). They run on the thread that calls. */

interface Signature {
  readonly arguments: readonly ('uint64' | 'int32')[];
  readonly return: 'int64' | 'int32';
}

export interface Foreign<Functions> {
  readonly functions: Functions;
  /** Where the bytes lie; they stay there as long as somebody holds the buffer. */
  pointerTo(buffer: Uint8Array | BigUint64Array): bigint;
  /** Where another function or variable of the library lies. Throws where there is none of that name. */
  address(symbol: string): bigint;
  /** errno of the call that failed just now: to be asked at once. */
  errorNumber(): number;
}

/** What is used of node:ffi. */
interface NodeFfi {
  dlopen(
    library: null,
    signatures: object,
  ): { readonly lib: { getSymbol(name: string): bigint }; readonly functions: object };
  getRawPointer(buffer: Uint8Array | BigUint64Array): bigint;
  getInt32(pointer: bigint, offset: number): number;
}

/** A function of glibc and musl: where the calling thread has its errno. */
const errorPlace = { arguments: [], return: 'uint64' };

/** `signatures`: of each of `Functions`, words of the machine. Undefined where this Node, libc or sandbox has none of it. */
export function foreign<Functions>(
  signatures: Readonly<Record<keyof Functions, Signature>>,
): Foreign<Functions> | undefined {
  // Absent from Node 20.11, whatever the types say.
  const builtin = process.getBuiltinModule as ((id: string) => object | undefined) | undefined;
  const ffi = builtin?.('node:ffi') as NodeFfi | undefined;
  if (ffi === undefined) return undefined;
  try {
    const { lib, functions } = ffi.dlopen(null, { ...signatures, __errno_location: errorPlace });
    const { __errno_location: placeOfError } = functions as { readonly __errno_location: () => bigint };
    return {
      functions: functions as Functions,
      pointerTo: (buffer) => ffi.getRawPointer(buffer),
      address: (symbol) => lib.getSymbol(symbol),
      errorNumber: () => ffi.getInt32(placeOfError(), 0),
    };
  } catch {
    return undefined;
  }
}

/** A text of the C library: the bytes and a zero. */
export function cText(text: string | Uint8Array): Buffer {
  return Buffer.concat([typeof text === 'string' ? Buffer.from(text) : text, Buffer.of(0)]);
}
