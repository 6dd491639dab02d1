/**
 * The log: `logs/updater.log` (rotated at `limits.logFileBytes` to `.1`, `.2`) and the same lines on stdout (spec section 5). A
 * call never waits and never throws: lines wait in a bounded queue for the one writer, and what a slow disk leaves no room for
 * is dropped and counted. One call is one line, control characters escaped; what signs a URL is never shown.
 */
import { errno, errorText } from '../errors.ts';
import { limits } from '../limits.ts';
import { printed } from '../printed.ts';
import { elapsedMs } from './clock.ts';
import { realFiles } from './files.ts';
import type { Files, Log, OpenFile } from './host.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogOptions {
  /** Where `updater.log` is; must exist, or become so later. */
  readonly directory: string;
  /** Lesser levels are dropped. */
  readonly level: LogLevel;
  /** Undefined: only the file is written. */
  readonly stdout?: NodeJS.WritableStream & { readonly writableLength?: number };
  readonly format?: 'text' | 'json';
  /** The real disk unless given. */
  readonly files?: Files;
}

export interface RunningLog extends Log {
  /** Writes out what waits and closes the file; later lines go to stdout alone. */
  close(): Promise<void>;
}

/** Opens the log. Never rejects: without a file the lines go to stdout alone. */
export async function openLog(options: LogOptions): Promise<RunningLog> {
  const { level, stdout, format = 'text' } = options;
  const lineOf: LineOf = format === 'json' ? jsonLine : textLine;
  const toStdout = stdoutWriter(stdout);
  const complain = (text: string) => toStdout(lineOf('error', text));
  const file = logFile(options.files ?? realFiles(), `${options.directory}/updater.log`, lineOf, complain);
  await file.open();

  const least = levels.indexOf(level);
  const at = (lineLevel: LogLevel) => (message: string) => {
    if (levels.indexOf(lineLevel) < least) return;
    const line = lineOf(lineLevel, message);
    toStdout(line);
    file.append(line);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), close: file.close };
}

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

type LineOf = (level: LogLevel, message: string) => string;

function textLine(level: LogLevel, message: string): string {
  const text = printed(withoutSecrets(message.slice(0, limits.logLineChars)));
  return `${new Date().toISOString()} ${level.toUpperCase().padEnd(5)} ${text}\n`;
}

function jsonLine(level: LogLevel, message: string): string {
  const text = printed(withoutSecrets(message.slice(0, limits.logLineChars)));
  return `${JSON.stringify({ time: new Date().toISOString(), level, message: text })}\n`;
}

/** `https://user:password@host/file?X-Amz-Signature=...` keeps `https://host/file?...`. */
export function withoutSecrets(text: string): string {
  return text.replace(
    /\b(https?:\/\/)(?:[^\s/?#@]*@)?([^\s?"'<>]*)(\?[^\s"'<>]*)?/gi,
    (_, scheme, rest, query) => (query === undefined ? `${scheme}${rest}` : `${scheme}${rest}?...`),
  );
}

/** A reader that has stopped reading, or has gone, costs at most `limits.logQueueBytes` of memory. */
function stdoutWriter(stdout: LogOptions['stdout']): (line: string) => void {
  if (stdout === undefined) return () => undefined;
  let isBroken = false;
  stdout.on('error', () => {
    isBroken = true;
  });
  return (line) => {
    if (!isBroken && (stdout.writableLength ?? 0) < limits.logQueueBytes) stdout.write(line);
  };
}

interface LogFile {
  /** Tries to open the file, so that a bad one is known from the start. */
  open(): Promise<void>;
  append(line: string): void;
  close(): Promise<void>;
}

/** One writer takes all that waits in one write; `complain` gets the news that must not go to the file itself. */
function logFile(files: Files, path: string, lineOf: LineOf, complain: (text: string) => void): LogFile {
  let waiting: string[] = [];
  let waitingChars = 0;
  let dropped = 0;
  let writing: Promise<void> | undefined;
  let isClosed = false;
  let current: { readonly file: OpenFile; sizeBytes: number } | undefined;
  let retryAt = 0;

  const closeFile = async (): Promise<void> => {
    const closing = current;
    current = undefined;
    await closing?.file.close();
  };
  const write = async (text: string): Promise<void> => {
    const bytes = Buffer.from(text);
    current ??= await openForAppend(files, path);
    if (current.sizeBytes > 0 && current.sizeBytes + bytes.length > limits.logFileBytes) {
      await closeFile();
      await rotate(files, path);
      current = await openForAppend(files, path);
    }
    await current.file.write(bytes, current.sizeBytes);
    current.sizeBytes += bytes.length;
  };
  const fail = async (thrown: unknown): Promise<void> => {
    retryAt = elapsedMs() + limits.logRetryMs;
    const complainOf = (error: unknown) => complain(`the log file cannot be written: ${errorText(error)}`);
    complainOf(thrown);
    await closeFile().catch(complainOf);
  };
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      if (dropped > 0) waiting.push(lineOf('warn', `${dropped} lines were dropped here: the disk is slow`));
      const text = waiting.join('');
      waiting = [];
      waitingChars = 0;
      dropped = 0;
      if (elapsedMs() >= retryAt) await write(text).catch(fail);
    }
    writing = undefined;
  };
  return {
    async open() {
      await write('').catch(fail);
    },
    append(line) {
      if (isClosed) return;
      if (waitingChars + line.length > limits.logQueueBytes) {
        dropped += 1;
        return;
      }
      waiting.push(line);
      waitingChars += line.length;
      // Not at once: the lines of one turn of the event loop go out in one write.
      writing ??= Promise.resolve().then(drain);
    },
    async close() {
      isClosed = true;
      await writing;
      await closeFile().catch(fail);
    },
  };
}

async function openForAppend(files: Files, path: string): Promise<{ file: OpenFile; sizeBytes: number }> {
  const found = await files.stat(path);
  // A FIFO would make the open wait for a reader; the open itself refuses symlinks.
  if (found !== undefined && found.kind !== 'file') throw new Error(`${path} is a ${found.kind}`);
  const file = await files.open(path, 'append');
  try {
    await file.setMode(0o640);
    return { file, sizeBytes: (await file.stat()).sizeBytes };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

/** The oldest falls out; a rename replaces what is there, so one that was cut short is simply repeated. */
async function rotate(files: Files, path: string): Promise<void> {
  for (let number = limits.logFiles - 1; number >= 1; number -= 1) {
    const from = number === 1 ? path : `${path}.${number - 1}`;
    await files.rename(from, `${path}.${number}`).catch((thrown: unknown) => {
      if (errno(thrown) !== 'ENOENT') throw thrown;
    });
  }
}
