/**
 * Reads `cmdline` and `environ`, which lie in the memory of a process, without waiting for it: its owner can make every reader
 * wait for ever, and a thread that waits there cannot be ended. So what is not root's is read by a shell that answers one
 * question after another, and is killed where it does not. A process that did not answer is not asked again.
 */
import { limits } from '../limits.ts';
import { killGroup } from './kill-group.ts';
import { readProc } from './proc.ts';
import { rawText } from './raw-text.ts';

export type ProcessText = 'cmdline' | 'environ';

/** Up to limits.procTextBytes, any bytes (raw-text.ts); undefined where the process is gone, closed to us or does not answer. */
export type ReadProcessText = (pid: number, file: ProcessText) => Promise<string | undefined>;

/** `root`: where procfs is mounted. `patienceMs`: how long an answer may take. */
export function processTexts(root = '/proc', patienceMs: number = limits.procReadMs): ReadProcessText {
  const silent = new Set<string>();
  let reader: Reader | undefined;
  let disarm: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();

  return async (pid, file) => {
    const path = `${root}/${pid}/${file}`;
    const status = await readProc(`${root}/${pid}/status`);
    if (status === undefined) return undefined;
    if (pid === process.pid || isOfRoot(status)) return await readProc(path);
    // A process id is used again; with its start it is one process.
    const stat = await readProc(`${root}/${pid}/stat`);
    const identity = `${pid} ${stat?.slice(stat.lastIndexOf(')')).split(' ')[20]}`;
    const turn = last.then(() => (silent.has(identity) ? undefined : ask(identity, path)));
    last = turn.catch(() => undefined);
    return await turn;
  };

  async function ask(identity: string, path: string): Promise<string | undefined> {
    clearTimeout(disarm);
    reader ??= await startReader();
    const answer = await reader.read(path, silent.size < fewSilent ? patienceMs : limits.procHurryMs);
    if (typeof answer === 'object') {
      disarm = setTimeout(endReader, limits.procReaderIdleMs);
      disarm.unref();
      return answer.text;
    }
    endReader();
    // Without a shell and dd there is only the way that may wait.
    if (answer === 'unable') return await readProc(path);
    if (silent.size >= limits.silentProcesses) silent.clear();
    silent.add(identity);
    return undefined;
  }

  function endReader(): void {
    reader?.end();
    reader = undefined;
  }
}

/** So many may be slow because the machine is; where more do not answer, somebody wants them not to. */
const fewSilent = 3;

/** Real, effective, saved and filesystem user. */
function isOfRoot(status: string): boolean {
  return /^Uid:\t0\t0\t0\t0$/m.test(status);
}

interface Reader {
  read(
    path: string,
    patienceMs: number,
  ): Promise<{ readonly text: string | undefined } | 'silent' | 'unable'>;
  end(): void;
}

/** Each answer ends with a line that no process can know: the first line that the shell reads, and how reading went. */
const script =
  'read -r end; while read -r path; do dd if="$path" bs="$1" count=1 2>/dev/null; printf "%s %d\\n" "$end" $?; done';
const noSuchProgram = 127;

async function startReader(): Promise<Reader> {
  const [{ spawn }, { randomBytes }] = await Promise.all([
    import('node:child_process'),
    import('node:crypto'),
  ]);
  const end = randomBytes(16).toString('hex');
  const child = spawn('/bin/sh', ['-c', script, 'sh', String(limits.procTextBytes)], {
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // SIGKILL ends also what waits for the memory of another process.
  const kill = () => {
    if (child.pid !== undefined) killGroup(child.pid);
  };
  process.once('exit', kill);
  for (const each of [child, child.stdin]) each.on('error', () => undefined); // told by its end
  child.stdin.write(`${end}\n`);
  child.unref();
  return {
    read: (path, patienceMs) =>
      new Promise((resolve) => {
        let bytes = Buffer.alloc(0);
        const settle = (answer: Awaited<ReturnType<Reader['read']>>) => {
          clearTimeout(timer);
          child.stdout.removeListener('data', take);
          child.stdout.removeListener('close', fail);
          resolve(answer);
        };
        const fail = () => settle('unable');
        const take = (chunk: Buffer) => {
          bytes = Buffer.concat([bytes, chunk]);
          const at = bytes.lastIndexOf(`${end} `);
          if (at < 0 || bytes.at(-1) !== newline) return;
          const status = Number(bytes.toString('latin1', at + end.length + 1));
          if (status === noSuchProgram) fail();
          else settle({ text: status === 0 ? rawText(bytes.subarray(0, at)) : undefined });
        };
        const timer = setTimeout(() => settle('silent'), patienceMs);
        child.stdout.on('data', take).once('close', fail);
        child.stdin.write(`${path}\n`);
      }),
    end: () => {
      process.removeListener('exit', kill);
      kill();
    },
  };
}

const newline = 0x0a;
