/**
 * `make fleet-demo`: three devices of a fleet on this machine, and a rollout in groups that stops at the second device that
 * fails; then the corrected version, which reaches all three.
 *
 * Everything on the devices is real (daemons, services, packages); the server is the scripted one of the tests, which
 * answers as hawkBit was recorded to. Ends what it started, also on a failure.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DdiServer, startDdiServer } from '../fixtures/ddi-server.ts';
import { type Daemon, until } from '../integration/daemon.ts';
import { type Device, makeDevice } from '../integration/harness.ts';
import { makeScreen } from './screen.ts';

interface Member {
  readonly name: string;
  readonly device: Device;
  readonly server: DdiServer;
  readonly daemon: Daemon;
}

const screen = makeScreen(process.stdout, process.env);
const members: Member[] = [];
const failuresAllowed = 2;
try {
  await demo();
} finally {
  for (const { device, server } of members) {
    await device.close();
    await server.close();
  }
}

async function demo(): Promise<void> {
  const started = performance.now();
  screen.title('tope-updater: a fleet of three devices');
  screen.heading('1. The devices join');
  for (const name of ['printer-1', 'printer-2', 'printer-3']) members.push(await enroll(name));
  show();
  screen.heading('2. Version 2.0.0, one group after the other; it is not well');
  let failures = 0;
  for (const member of members) {
    if (failures >= failuresAllowed) {
      screen.note(
        `the server stops the rollout: ${failures} devices have failed; ${member.name} is not asked`,
      );
      break;
    }
    if ((await order(member, '2.0.0', false)) !== 'finished') failures += 1;
  }
  show();
  screen.heading('3. Version 2.0.1, corrected');
  for (const member of members) await order(member, '2.0.1', true);
  show();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const isRight = members.every(({ device }) => device.running().join() === 'alpha 2.0.1,beta 2.0.1');
  screen.title(isRight ? `Done in ${seconds} s: all three run 2.0.1.` : 'Not as it should be.');
  if (!isRight) process.exitCode = 1;
}

async function enroll(name: string): Promise<Member> {
  const device = await makeDevice();
  const server = await startDdiServer({ device: name, authorization: 'TargetToken SECRET' });
  server.ddi.sleep = '00:00:10';
  const token = join(device.folder, 'token');
  writeFileSync(token, 'SECRET');
  chmodSync(token, 0o600);
  const daemon = await device.start([
    '--fleet-url',
    server.url,
    '--fleet-id',
    name,
    '--fleet-token-file',
    token,
  ]);
  return { name, device, server, daemon };
}

/** Orders a version and follows it to its end, as the server hears of it. */
async function order(
  { name, device, server, daemon }: Member,
  version: string,
  isWell: boolean,
): Promise<string> {
  const spec = device.usual(version);
  const health = { exec: [isWell ? '/bin/true' : '/bin/false'], timeout_s: 1 };
  const modules = spec.modules.map((module, index) => (index === 0 ? { ...module, health } : module));
  const request = await device.offer({ ...spec, modules });
  server.files.set(request.package_name, readFileSync(join(device.folder, 'store', request.package_name)));
  const id = server.ddi.assign({ modules: [{ name: 'printer', version, files: [request.package_name] }] });
  await fetch(`${daemon.url}/api/v1.0/fleet`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"poll":true}',
  });
  let heard = 0;
  await until(`the end of order ${id} of ${name}`, () => {
    const action = server.ddi.action(id);
    for (; heard < action.told.length; heard++) screen.note(`${name}  ${action.told[heard]}`);
    return action.state === 'finished' || action.state === 'error';
  });
  const { state, details } = server.ddi.action(id);
  screen.note(`${name}  ${details.join('; ')}`);
  return state;
}

function show(): void {
  screen.table(members.map(({ name, device }) => [name, device.running().join(', ')]));
}
