/**
 * Writes the blob that makes a Node binary a single executable application, for targets whose own Node cannot be run
 * where the executable is built: 32-bit ones, because lengths in the blob are the target's `size_t`.
 *
 * Format, little endian, `size` being 4 or 8 bytes:
 *   u32 magic 0x0143da20 | u32 flags
 *   | u8 where more flags may come from, 1 = NODE_OPTIONS    (Node >= 22.20)
 *   | u8 format of the main script, 0 = CommonJS             (Node >= 26)
 *   | size, path of the main script | size, its content
 *   | size count, then each: size, argument                  (flag 0x10 set, Node >= 22.20)
 *
 * Invariant: with 8-byte lengths the result equals what `node --experimental-sea-config` of that version writes.
 */

export interface BlobContent {
  /** Version of the Node the blob is for, `x.y.z`. */
  readonly nodeVersion: string;
  /** Size of a length on the target: 4 on 32-bit machines. */
  readonly lengthBytes: 4 | 8;
  /** Name of the main script as stack traces show it. */
  readonly scriptPath: string;
  readonly script: Uint8Array;
  /** Flags for Node and V8; not carried by Node 20, where asking for them is an error. */
  readonly execArgv: readonly string[];
}

export function seaBlob(content: BlobContent): Uint8Array {
  const layout = layoutOf(content.nodeVersion);
  if (layout === 'node20' && content.execArgv.length > 0)
    throw new Error(`Node ${content.nodeVersion} cannot carry flags in its executable`);
  const sized = (bytes: Uint8Array) => [length(bytes.length, content.lengthBytes), bytes];
  const text = (value: string) => sized(Buffer.from(value, 'utf8'));
  const hasFlags = content.execArgv.length > 0;
  return Buffer.concat([
    u32(magic),
    u32(silentFlag | (hasFlags ? execArgvFlag : 0)),
    extraHeader[layout],
    ...text(content.scriptPath),
    ...sized(content.script),
    ...(hasFlags ? [length(content.execArgv.length, content.lengthBytes)] : []),
    ...content.execArgv.flatMap(text),
  ]);
}

const magic = 0x0143da20;
/** Node's `disableExperimentalSEAWarning`. */
const silentFlag = 0x01;
const execArgvFlag = 0x10;

const extraHeader = {
  node20: Buffer.of(),
  node22: Buffer.of(1),
  node26: Buffer.of(1, 0),
} as const;

/** Which of the layouts above a version reads; those between are not known and refused rather than guessed. */
function layoutOf(version: string): keyof typeof extraHeader {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === 20 && minor >= 11) return 'node20';
  if (major === 22 && minor >= 20) return 'node22';
  if (major === 26) return 'node26';
  throw new Error(
    `the blob layout of Node ${version} is not known (20.11 to 20.x, 22.20 to 22.x and 26 are)`,
  );
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function length(value: number, lengthBytes: 4 | 8): Uint8Array {
  const bytes = Buffer.alloc(lengthBytes);
  if (lengthBytes === 4) bytes.writeUInt32LE(value);
  else bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
