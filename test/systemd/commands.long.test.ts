/** Commands of a package under a real systemd: apart from what bounds and hardens the updater's unit, and ended whole. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootContainer, wantedReleases, whyNoContainer } from './container.ts';
import { install, type Module } from './update.ts';

/** A module whose one command is this text. */
const running = (command: string, more: object = {}): Module => ({
  name: 'app',
  keys: { dst: '/opt/tope/app/app', before_start: [command], ...more },
  file: { content: command },
});

for (const release of wantedReleases()) {
  const why = whyNoContainer(release);
  if (why !== undefined) {
    console.log(`skipped: commands under the systemd of ${release}: ${why}`);
    continue;
  }
  const test = suite(`commands under the systemd of ${release}`);

  test('a command is in a scope of its own, sees what pid 1 sees, and is ended with all it started', async () => {
    const container = await bootContainer(release);
    try {
      const look =
        'cat /proc/self/cgroup >/root/cgroup; readlink /proc/self/ns/mnt >/root/mnt; echo $TOPE_UPDATE >/usr/written';
      assert.is(await install(container, '1.0.0', [running(look)]), undefined);
      const cgroup = await container.sh('cat /root/cgroup');
      assert.match(cgroup, /\/run-\S+\.scope$/m);
      assert.not.match(cgroup, /tope-updater\.service/);
      assert.is(await container.sh('cat /root/mnt'), await container.sh('readlink /proc/1/ns/mnt'));
      assert.match(await container.sh('cat /usr/written'), /^\d{8}T\d{9}Z$/);

      const slow = running('sleep 1000 & echo $! >/root/pid; wait', { timeout_s: 2 });
      assert.match((await install(container, '1.1.0', [slow])) ?? '', /did not end within 2 s/);
      assert.is(await container.sh('kill -0 $(cat /root/pid) 2>/dev/null || echo gone'), 'gone');
      assert.is(await container.sh('systemctl list-units --no-legend "run-*.scope" | wc -l'), '0');
    } finally {
      await container.end();
    }
  });

  test.run();
}
