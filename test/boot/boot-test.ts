/**
 * A real boot: Debian with systemd in a virtual machine, the updater installed by install.sh or from its Debian package. Does it start, come back
 * after a crash, update a service, stay within its memory, survive power cuts in mid-install, and does nothing start on half of a switch?
 *
 * Usage: tsx test/boot/boot-test.ts      CUTS=n: that many power cuts (default 6); INSTALL=deb: by dpkg; ACCEL=kvm: not emulated
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDisks } from './image.ts';
import { type Answer, bootMachine, type Machine } from './machine.ts';
import { type GuestPackages, lastSmallFile, servePackages, smallFile } from './packages.ts';

const cuts = Number(process.env.CUTS ?? 6);
const cgroup = '/sys/fs/cgroup/system.slice/tope-updater.service';

interface Way {
  readonly install: string;
  readonly uninstall: string;
  /** What is left is listed by this; nothing but what `leaves` allows. */
  readonly left: string;
  readonly leaves: RegExp;
}

const ways = {
  'install.sh': {
    install: 'sh /release/install.sh',
    uninstall: 'sh /release/install.sh --uninstall',
    left: 'ls /opt/tope/updater',
    leaves: /^(?!tope-updater$)/,
  },
  deb: {
    // The machine has its own /etc/default/tope-updater already: dpkg would ask.
    install: 'DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /release/*_amd64.deb',
    uninstall: 'dpkg --purge tope-updater',
    left: 'find /opt /etc /usr -name "*tope-updater*"',
    leaves: /^$/,
  },
} as const satisfies Record<string, Way>;
const byName = process.env.INSTALL === 'deb' ? 'deb' : 'install.sh';
const way: Way = ways[byName];

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root (mmdebstrap and file ownership)';
  if (!existsSync('dist/tope-updater-x64')) return 'dist/tope-updater-x64 is not there (make dist ARCH=x64)';
  if (byName === 'deb' && !readdirSync('dist').some((name) => name.endsWith('_amd64.deb')))
    return 'there is no Debian package in dist (make deb ARCH=amd64)';
  const missing = ['qemu-system-x86_64', 'mmdebstrap', 'mke2fs'].filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  return missing.length > 0
    ? `needs ${missing.join(', ')} (Debian: qemu-system-x86 mmdebstrap e2fsprogs)`
    : undefined;
}

/** Polls for two minutes, or as said: everything is ten times slower in there. */
async function until<T>(what: string, look: () => Promise<T | undefined>, patienceMs = 120_000): Promise<T> {
  const deadline = Date.now() + patienceMs;
  let last = '';
  while (Date.now() < deadline) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      last = String(error);
    }
    await sleep(200);
  }
  throw new Error(`never came: ${what} ${last}`);
}

const answers = (machine: Machine) =>
  until('an answer on port 12315', async () => (await machine.api('progress')).data.stage);

/** Waits until one of the stages is reached and stays for a second: a recovery may only be about to begin. */
async function reach(machine: Machine, ...stages: string[]): Promise<Answer['data']> {
  const arrived = () =>
    until(`stage ${stages.join(' or ')}`, async () => {
      const { data } = await machine.api('progress');
      return stages.includes(data.stage) ? data : undefined;
    });
  for (;;) {
    const first = await arrived();
    await sleep(1000);
    if ((await arrived()).stage === first.stage) return first;
  }
}

async function download(machine: Machine, packages: GuestPackages, version: string): Promise<void> {
  const answer = await machine.api('download', packages.request(version));
  if (answer.code !== 200) throw new Error(`download: ${answer.msg}`);
  const { stage, error } = await reach(machine, 'toInstall', 'failed');
  if (stage === 'failed') throw new Error(`download: ${error}`);
}

async function update(machine: Machine, packages: GuestPackages, version: string): Promise<void> {
  await download(machine, packages, version);
  const answer = await machine.api('update', { version });
  if (answer.code !== 200) throw new Error(`update: ${answer.msg}`);
  const { stage, error } = await reach(machine, 'success', 'failed');
  if (stage === 'failed') throw new Error(`update: ${error}`);
}

/** The version whose files, all of them and nothing else, are in place; throws with the list where there is none. */
async function installedVersion(machine: Machine, packages: GuestPackages): Promise<string> {
  const sums = await machine.shell(
    "cd /opt/tope && find demo plain data -type f | LC_ALL=C sort | xargs -r sha256sum | sed 's/  /\\t/' | sha256sum",
  );
  const version = packages.versionOf(sums.split(' ')[0] ?? '');
  if (version !== undefined) return version;
  throw new Error(
    `neither old nor new as a whole:\n${await machine.shell('cd /opt/tope && head -qn 2 demo/* plain/* data/* | grep -a version | sort | uniq -c; ls -la demo plain data | head -60', true)}`,
  );
}

/** Stops the updater as soon as small files of both versions are there. */
const waiter = `
cd /opt/tope
while :; do
  read -r a <${smallFile(0)}; read -r b <${lastSmallFile}
  [ "$a" = "$b" ] || break
done
kill -STOP $(systemctl show -P MainPID tope-updater)
sync
echo >/run/stopped`;

/**
 * Cuts the power while files of two versions are there, boots, and gives the versions that the first service of that boot found.
 */
async function cutInMidSwitch(
  machine: Machine,
  packages: GuestPackages,
  version: string,
  boot: () => Promise<Machine>,
): Promise<readonly string[]> {
  await download(machine, packages, version);
  await machine.shell(`systemd-run --quiet sh -c '${waiter}'`);
  const answer = await machine.api('update', { version });
  if (answer.code !== 200) throw new Error(`update: ${answer.msg}`);
  // Longer: the waiter takes a core of the two from the install.
  await until('the updater is stopped', () => machine.shell('ls /run/stopped'), 400_000);
  const left = await machine.shell('cat /opt/tope/data/small/* | sort -u | wc -l');
  expect('versions that the cut leaves', left, '2');
  await machine.cutPower();
  const again = await boot();
  await until('the service has started', () => again.shell('ls /run/demo-saw'));
  const saw = await again.shell('cat /run/demo-saw');
  await answers(again);
  const { stage, error } = await reach(again, 'success', 'failed', 'idle', 'toInstall');
  if (stage === 'failed') throw new Error(`after the cut: ${error}`);
  await installedVersion(again, packages);
  return saw.split('\n');
}

/** Versions of the programs that have started since the boot: systemd's, and the plain one where it has. */
const running = async (machine: Machine) =>
  (await machine.shell('cat /run/demo-version; cat /run/plain-version 2>/dev/null || true')).split('\n');

function expect(what: string, actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected))
    throw new Error(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
}

async function main(): Promise<number> {
  const reason = whyNot();
  if (reason !== undefined) {
    console.log(`skipped: a real boot: ${reason}`);
    console.log('0 passed, 0 failed, 1 skipped');
    return 0;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'boot-'));
  let machine: Machine | undefined;
  const counts = { passed: 0, failed: 0 };
  /** After a step that failed the machine is in no known state: the rest is left out. */
  const step = async (name: string, run: (machine: Machine) => Promise<string | undefined>) => {
    if (counts.failed > 0) return;
    const started = Date.now();
    try {
      const note = await run(machine as Machine);
      counts.passed += 1;
      console.log(
        `ok    ${name}${note === undefined ? '' : `: ${note}`}  (${((Date.now() - started) / 1000).toFixed(0)} s)`,
      );
    } catch (error) {
      counts.failed += 1;
      console.log(`FAIL  ${name}\n${error instanceof Error ? error.stack : error}`);
      const log = await machine?.shell('tail -n 40 /opt/tope/updater/logs/updater.log', true).catch(String);
      console.log(`updater's log:\n${log}\nconsole:\n${machine?.console()}`);
    }
  };
  const disks = makeDisks(scratch, resolve('dist'));
  const packages = await servePackages(scratch, cuts + 4);
  const boot = async () => {
    machine = await bootMachine(disks, scratch);
    return machine;
  };
  let installMs = 0;

  try {
    await boot();
    await step(`${byName} installs on a live system, and the updater answers`, async (guest) => {
      await guest.shell('systemctl is-system-running --wait', true);
      await guest.shell(way.install);
      await answers(guest);
      return guest
        .shell('systemctl is-enabled tope-updater; systemctl is-active tope-updater')
        .then((text) => text.replace('\n', ', '));
    });
    const again = async (guest: Machine) => {
      await guest.shell(way.install);
      await answers(guest);
      return undefined;
    };
    if (byName === 'deb') await step('dpkg installs the same once more, and the updater answers', again);
    else
      await step(
        'install.sh again changes nothing, and an upgrade restarts the updater and keeps its state',
        async (guest) => {
          const pid = await guest.shell('systemctl show -P MainPID tope-updater');
          await guest.shell('echo {} >/opt/tope/updater/config.json; sh /release/install.sh');
          expect(
            'main pid after a second run',
            await guest.shell('systemctl show -P MainPID tope-updater'),
            pid,
          );
          await guest.shell(
            'printf x >>/opt/tope/updater/tope-updater.old; cp /opt/tope/updater/tope-updater /tmp/t; rm /opt/tope/updater/tope-updater; printf old >/opt/tope/updater/tope-updater; rm /tmp/t; sh /release/install.sh',
          );
          await answers(guest);
          expect('configuration', await guest.shell('cat /opt/tope/updater/config.json'), '{}');
          return undefined;
        },
      );
    await step('it starts on boot and answers on 12315', async (guest) => {
      await guest.powerOff();
      const started = Date.now();
      await answers(await boot());
      return `${((Date.now() - started) / 1000).toFixed(1)} s after power on`;
    });
    await step('after a crash systemd starts it again', async (guest) => {
      const pid = await guest.shell('systemctl show -P MainPID tope-updater');
      await guest.shell(`kill -9 ${pid}`);
      await until('another pid', async () => {
        const now = await guest.shell('systemctl show -P MainPID tope-updater');
        return now !== '0' && now !== pid ? now : undefined;
      });
      await answers(guest);
      return undefined;
    });
    await step('an update of a systemd service and of a plain program succeeds', async (guest) => {
      const started = Date.now();
      await update(guest, packages, '1.0.0');
      await download(guest, packages, '2.0.0');
      const before = Date.now();
      await guest.api('update', { version: '2.0.0' });
      await reach(guest, 'success', 'failed');
      installMs = Date.now() - before - 1000;
      expect('installed', await installedVersion(guest, packages), '2.0.0');
      expect('running', await running(guest), ['2.0.0', '2.0.0']);
      return `two updates in ${((Date.now() - started) / 1000).toFixed(0)} s, one install ${(installMs / 1000).toFixed(1)} s`;
    });
    await step('a program it started outlives a restart of the updater', async (guest) => {
      const pid = await guest.shell('pgrep -o plain-service');
      await guest.shell('systemctl restart tope-updater');
      await answers(guest);
      expect('pid', await guest.shell('pgrep -o plain-service'), pid);
      return guest.shell(`sed s/.*:// /proc/${pid}/cgroup`);
    });
    await step('memory stays within its bounds, and MemoryMax is real', async (guest) => {
      const [max, high, peak, rss] = (
        await guest.shell(
          `cat ${cgroup}/memory.max ${cgroup}/memory.high ${cgroup}/memory.peak; awk '/VmHWM/ {print $2}' /proc/$(systemctl show -P MainPID tope-updater)/status`,
        )
      ).split('\n');
      expect('memory.max and memory.high', [max, high], [`${100 * 1048576}`, `${50 * 1048576}`]);
      // Without MemoryHigh, which would only slow it down, a hog in the updater's cgroup runs into MemoryMax.
      await guest.shell('systemctl set-property --runtime tope-updater MemoryHigh=infinity');
      await guest.shell(`timeout 100 sh -c 'echo $$ >${cgroup}/cgroup.procs; exec tail /dev/zero'`, true);
      const killed = await guest.shell(
        'journalctl -k -b -g "Memory cgroup out of memory" -o cat | tail -n 1',
      );
      if (!/Killed process/.test(killed)) throw new Error(`nothing was ended: ${killed}`);
      await guest.shell('systemctl set-property --runtime tope-updater MemoryHigh=50M');
      await answers(guest);
      return `cgroup's peak ${(Number(peak) / 1e6).toFixed(1)} MB, VmHWM ${rss} kB; a program that took more was ended by the kernel`;
    });
    for (let cut = 0; cut < cuts; cut++) {
      const version = `${cut + 3}.0.0`;
      // The measured time ends with a wait for settled services and for this test itself: all cuts fall before that.
      const delayMs = Math.round((installMs * 0.6 * (cut + 0.5)) / cuts);
      await step(`power cut ${delayMs} ms into an install: all old or all new after boot`, async (guest) => {
        const before = await installedVersion(guest, packages);
        await download(guest, packages, version);
        const answer = await guest.api('update', { version });
        if (answer.code !== 200) throw new Error(`update: ${answer.msg}`);
        await sleep(delayMs);
        const { stage } = (await guest.api('progress')).data;
        await guest.cutPower();
        const again = await boot();
        await answers(again);
        const { stage: end, error } = await reach(again, 'success', 'failed', 'idle', 'toInstall');
        // One interruption is no reason to give up: the install is finished, or undone and begun again.
        if (end === 'failed') throw new Error(`cut while ${stage}: ${error}`);
        const after = await installedVersion(again, packages);
        if (![before, version].includes(after)) throw new Error(`${after} was neither there nor on its way`);
        // Nothing starts the plain program at boot; the updater does where it had stopped it.
        expect('running', [...new Set(await running(again))], [after]);
        return `cut while ${stage}, then ${end}; ${before} -> ${after}`;
      });
    }
    await step('a power cut in mid-switch: no service starts on half of it', async (guest) => {
      const saw = await cutInMidSwitch(guest, packages, `${cuts + 3}.0.0`, boot);
      expect('how many versions the first service found', saw.length, 1);
      return `the first service found "${saw[0]}"`;
    });
    await step('the same without tope-updater-recover.service: the step before can fail', async (guest) => {
      await guest.shell('systemctl disable -q tope-updater-recover');
      const saw = await cutInMidSwitch(guest, packages, `${cuts + 4}.0.0`, boot);
      expect('how many versions the first service found', saw.length, 2);
      return undefined;
    });
    const leaves = byName === 'deb' ? 'nothing of it' : 'its state';
    await step(`uninstalling stops it, takes it away and leaves ${leaves}`, async (guest) => {
      await guest.shell(way.uninstall);
      const [active, ...left] = (
        await guest.shell(`systemctl is-active tope-updater; ${way.left}`, true)
      ).split('\n');
      if (active !== 'inactive' || left.some((line) => !way.leaves.test(line)))
        throw new Error([active, ...left].join('\n'));
      return undefined;
    });
  } finally {
    await machine?.cutPower();
    packages.close();
    rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed === 0 ? 0 : 1;
}

process.exit(await main());
