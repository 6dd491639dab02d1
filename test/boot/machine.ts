/** One virtual machine: qemu as a child process, a root shell on its second serial line, its API on a host port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Disks } from './image.ts';

export interface Machine {
  /** Runs a command line as root in the guest; rejects when it fails, unless `mayFail`. Gives what it printed. */
  shell(command: string, mayFail?: boolean): Promise<string>;
  /** Talks to the updater's API from outside. */
  api(path: string, body?: unknown): Promise<Answer>;
  /** Pulls the plug: nothing that the guest holds in memory survives. */
  cutPower(): Promise<void>;
  powerOff(): Promise<void>;
  /** The last lines of the guest's console. */
  console(): string;
}

export interface Answer {
  readonly code: number;
  readonly msg: string;
  readonly data: { readonly stage: string; readonly error: string | null };
}

const shellTimeoutMs = 180_000;

/** Boots the disks and waits for the root shell. */
export async function bootMachine(disks: Disks, scratch: string): Promise<Machine> {
  const port = await freePort();
  const control = join(scratch, 'control.sock');
  const consoleLog = join(scratch, 'console.log');
  const child = spawn('qemu-system-x86_64', qemuArguments(disks, port, control, consoleLog), {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const socket = await connect(control, child);
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1').replaceAll('\r', '');
  });
  socket.on('error', (error) => {
    received += `\ncontrol line: ${error.message}\n`;
  });
  const consoleText = () => readFileSync(consoleLog, 'latin1').split('\n').slice(-30).join('\n');
  const waitFor = async (pattern: RegExp, what: string, poke?: string): Promise<RegExpExecArray> => {
    const deadline = Date.now() + shellTimeoutMs;
    while (Date.now() < deadline) {
      const match = pattern.exec(received);
      if (match !== null) return match;
      if (poke !== undefined) socket.write(poke);
      await sleep(poke === undefined ? 50 : 1000);
    }
    throw new Error(`${what}: no answer\n${received.slice(-2000)}\nconsole:\n${consoleText()}`);
  };
  let counter = 0;

  const machine: Machine = {
    async shell(command, mayFail = false) {
      counter += 1;
      received = '';
      // The marker is put together by the shell, so that an echo of the command line is not taken for it.
      socket.write(`{ ${command}\n} 2>&1; echo "@@""end${counter} $?@@"\n`);
      const [all, status] = await waitFor(new RegExp(`@@end${counter} (\\d+)@@`), command);
      const output = received.slice(0, received.indexOf(all));
      if (status !== '0' && !mayFail) throw new Error(`${command}: status ${status}\n${output}`);
      return output.trim();
    },
    async api(path, body) {
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      };
      const signal = AbortSignal.timeout(20_000);
      const url = `http://127.0.0.1:${port}/api/v1.0/${path}`;
      const answer = await fetch(url, { ...(body === undefined ? {} : init), signal });
      return (await answer.json()) as Answer;
    },
    async cutPower() {
      child.kill('SIGKILL');
      await ended;
      socket.destroy();
    },
    async powerOff() {
      socket.write('systemctl poweroff\n');
      await Promise.race([ended, sleep(60_000, undefined, { ref: false })]);
      await machine.cutPower();
    },
    console: consoleText,
  };
  try {
    await waitFor(/@@ready2@@/, 'boot', 'echo "@@"ready$((1+1))@@\n');
    await sleep(1500);
    await machine.shell('true');
  } catch (error) {
    await machine.cutPower();
    throw error;
  }
  return machine;
}

function qemuArguments(disks: Disks, port: number, control: string, consoleLog: string): string[] {
  const drive = (path: string, more: string) => ['-drive', `file=${path},if=virtio,format=raw,${more}`];
  return [
    // Emulated: slower by ten than KVM, which a machine that is a virtual one itself may have, and yet boot nothing with it.
    ...(process.env.ACCEL === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=multi', '-cpu', 'max']),
    ...['-m', '512', '-smp', '2'],
    ...['-nodefaults', '-display', 'none', '-no-reboot'],
    ...['-kernel', disks.kernel, '-initrd', disks.initrd],
    ...['-append', 'root=/dev/vda rw console=ttyS0 net.ifnames=0 systemd.show_status=0'],
    ...drive(disks.root, 'cache=writeback'),
    ...drive(disks.release, 'readonly=on'),
    ...[
      '-netdev',
      `user,id=net,hostfwd=tcp:127.0.0.1:${port}-:12315`,
      '-device',
      'virtio-net-pci,netdev=net',
    ],
    ...['-serial', `file:${consoleLog}`],
    ...['-serial', `unix:${control},server=on,wait=off`],
  ];
}

async function connect(path: string, child: ChildProcess): Promise<Socket> {
  for (let tries = 0; tries < 100; tries++) {
    if (child.exitCode !== null) throw new Error(`qemu ended with ${child.exitCode}`);
    const socket = createConnection(path);
    const isConnected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (isConnected) return socket;
    await sleep(100);
  }
  child.kill('SIGKILL');
  throw new Error(`qemu does not open ${path}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
