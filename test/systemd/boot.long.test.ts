/**
 * A crash of the whole device in mid-switch, under a real systemd: what the services of the next boot see. The updater is stopped
 * while files of both sets are there, then everything ends at once.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootContainer, type Container, until, wantedReleases, whyNoContainer } from './container.ts';
import { install, type Module, untilAtRest } from './update.ts';

/** So many that their switch can be stopped in the middle. */
const files = 240;
const pathOf = (index: number) => `/opt/tope/data/${index}`;

/** Notes at its first start of a boot which versions there are; more than one is half of an update. */
const reader = `#!/bin/sh
[ -e /root/seen ] || { cat /opt/tope/data/* | sort -u >/root/seen.new; mv /root/seen.new /root/seen; }
exec sleep 100000
`;

function modules(version: string): Module[] {
  return Array.from({ length: files }, (_, index) => ({
    name: `data-${index}`,
    keys: { dst: pathOf(index), service: 'reader.service' },
    file: { content: `${version}\n` },
  }));
}

/** Stops the updater as soon as the first and the last file differ. */
const waiter = `
pid=$(systemctl show -P MainPID tope-updater)
echo >/run/waits
while :; do
  read -r a </opt/tope/data/0; read -r b </opt/tope/data/${files / 2}; read -r c </opt/tope/data/${files - 1}
  [ "$a$a" = "$b$c" ] || break
done
kill -STOP $pid
echo >/run/stopped
`;

/** Begins installs of `major` until one is stopped in its switch, and crashes the device then; gives the versions of the files, and what the reader saw at the boot. */
async function crashInMidSwitch(
  container: Container,
  major: number,
): Promise<{ readonly left: string; readonly seen: string }> {
  container.put('/root/waiter', waiter);
  for (let tries = 0; tries < 10; tries++) {
    await container.sh('rm -f /run/waits /run/stopped; systemd-run --quiet --unit=waiter sh /root/waiter');
    await until('it waits', async () => (await container.sh('ls /run')).includes('waits'));
    const installing = install(container, `${major}.0.${tries}`, modules(`${major}.0.${tries}`));
    const isStopped = until('it is stopped', async () => (await container.sh('ls /run')).includes('stopped'));
    await Promise.race([isStopped, installing]);
    isStopped.catch(() => undefined);
    const left = await container.sh('cat /opt/tope/data/* | sort -u | tr "\\n" " "');
    if (!left.trim().includes(' ')) {
      // The switch was over before the signal came.
      await container.sh('systemctl stop -q waiter || true; systemctl kill -s CONT tope-updater');
      await installing;
      await untilAtRest(container);
      continue;
    }
    await container.sh('rm /root/seen');
    await container.crash();
    await installing;
    await until('the reader has started', async () => (await container.sh('ls /root')).includes('seen'));
    const seen = await container.sh('cat /root/seen');
    return { left: left.trim(), seen };
  }
  throw new Error('no install could be stopped in its switch');
}

for (const release of wantedReleases()) {
  const why = whyNoContainer(release);
  const test = suite(`a boot after a crash in mid-switch under the systemd of ${release}`);
  if (why !== undefined) {
    console.log(`skipped: a boot after a crash in mid-switch under the systemd of ${release}: ${why}`);
    test.skip('a boot after a crash in mid-switch', () => undefined);
    test.run();
    continue;
  }
  let container: Container;
  test.before(async () => {
    container = await bootContainer(release);
    for (let index = 0; index < files; index++) container.put(pathOf(index), '1.0.0\n');
    container.put('/opt/tope/reader', reader, 0o755);
    container.put(
      '/etc/systemd/system/reader.service',
      '[Service]\nExecStart=/opt/tope/reader\n[Install]\nWantedBy=multi-user.target\n',
    );
    await container.sh('systemctl daemon-reload; systemctl enable -q --now reader');
  });
  test.after(() => container.end());

  test('the files are all old or all new before a service starts', async () => {
    const { left, seen } = await crashInMidSwitch(container, 2);
    assert.is(left.split(' ').length, 2, left);
    assert.ok(left.split(' ').includes(seen), seen);
    assert.is(
      await container.sh('systemctl show -P Result,ConditionResult tope-updater-recover'),
      'success\nyes',
    );
  });

  test("the same where the work directory is not the program's own", async () => {
    await untilAtRest(container);
    const options = (await container.sh('cat /etc/default/tope-updater')).replace(
      '="',
      '="--dir /data/updates ',
    );
    container.put('/etc/default/tope-updater', `${options}\n`);
    await container.sh('mkdir -p /data; systemctl restart tope-updater');
    await until('the updater answers', async () => (await container.updater('status')).status === 0);
    const { left, seen } = await crashInMidSwitch(container, 3);
    assert.is(left.split(' ').length, 2, left);
    assert.is(seen.split('\n').length, 1, seen);
    assert.is(
      await container.sh('systemctl show -P Result,ConditionResult tope-updater-recover'),
      'success\nyes',
    );
  });

  test('without tope-updater-recover.service a service starts on half of an update: the test above can fail', async () => {
    await untilAtRest(container);
    await container.sh('systemctl disable -q tope-updater-recover');
    const { seen } = await crashInMidSwitch(container, 4);
    assert.is(seen.split('\n').length, 2, seen);
  });

  test.run();
}
