/**
 * The updater replaces itself under a real systemd, by its own unit and launcher: a good one, one that crashes at every start, and
 * a device that ends at once, before the commit, while the probation lasts and while the one before takes an update back.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HistoryEntry } from '../../src/history.ts';
import { newSigner } from '../fixtures/minisign-signer.ts';
import { arch, newUpdaters, newVersion, updatersIn } from '../fixtures/new-updaters.ts';
import { buildPackage, type Content } from '../fixtures/package-builder.ts';
import { bootContainer, type Container, until, wantedReleases, whyNoContainer } from './container.ts';

const prefix = '/opt/tope/updater';
/** The default one. */
const port = 12315;
const signer = newSigner();

for (const release of wantedReleases()) {
  const why = whyNoContainer(release);
  const test = suite(`self-update under the systemd of ${release}`);
  if (why !== undefined) {
    console.log(`skipped: self-update under the systemd of ${release}: ${why}`);
    test.skip('self-update', () => undefined);
    test.run();
    continue;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'self-update-'));
  const make = updatersIn(scratch, '/opt/bundles', '/opt/node');
  let container: Container;
  test.before(async () => {
    container = await bootContainer(release);
    container.put(
      '/etc/default/tope-updater',
      `TOPE_UPDATER_OPTIONS="--allow-root /opt/tope --report-url http://127.0.0.1:9/ --trust-key ${signer.publicKey}"\n`,
    );
  });
  test.before.each(async () => {
    // A unit with a /proc of its own sees the boot of the machine there, not that of its container.
    container.put(
      '/etc/systemd/system/tope-updater.service.d/boot-id.conf',
      `[Service]
Environment=TOPE_UPDATER_BOOT_ID=/run/boot-id
ExecStartPre=+/bin/sh -c '[ -e /run/boot-id ] || cat /proc/sys/kernel/random/boot_id >/run/boot-id'
`,
    );
    // As a device is that has never been updated.
    await container.sh(
      'systemctl daemon-reload; systemctl stop tope-updater; systemctl reset-failed tope-updater',
    );
    await container.sh(`cd ${prefix}; rm -rf backups tmp logs probation tope-updater.previous tope-updater`);
    put(`${prefix}/tope-updater`, make('1.0.0'), 0o755);
    container.put('/opt/tope/model.bin', 'model of 1.0.0');
    await container.sh('systemctl start tope-updater');
    await runs('1.0.0');
  });
  test.after(async () => {
    await container.end();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('a good one commits; crashes of the device condemn nobody, three of its own do', async () => {
    await install(newUpdaters.works.make(make));
    await rests('2.0.0', 'success', null);
    for (let crash = 0; crash < 3; crash++) {
      await container.crash();
      await rests('2.0.0', 'success', null);
      await until('the commit of this boot', async () => /committed$/.test(await probation()));
    }
    for (let crash = 0; crash < 3; crash++) {
      const before = await probation();
      await container.sh('kill -KILL $(systemctl show -P MainPID tope-updater)');
      await until('the next start', async () => (await probation()) !== before);
      await until('an answer', async () => (await ask<object>('/healthz')) !== undefined);
    }
    await rests('1.0.0', 'success', newUpdaters.aborts.error);
    assert.is(await probation(), '');
  });

  test('one that crashes at every start is taken back, and the unit goes on', async () => {
    await install(newUpdaters.aborts.make(make));
    await rests('1.0.0', 'failed', newUpdaters.aborts.error);
    assert.is(await probation(), '');
    assert.is(await container.sh('systemctl is-active tope-updater'), 'active');
  });

  test('where the device ends before the new one has committed, that goes on at the boot', async () => {
    await install(make(newVersion, '[ "$1" = --version ] || sleep 3'));
    await until('the start of the new one', async () => (await probation()).split('\n').length === 2);
    await container.crash();
    await rests('2.0.0', 'success', null);
  });

  test('where the device ends while a crashing one is tried, it is still taken back', async () => {
    await install(newUpdaters.aborts.make(make));
    await until('two of its starts', async () => (await probation()).split('\n').length === 3);
    await container.crash();
    await rests('1.0.0', 'failed', newUpdaters.aborts.error);
    assert.is(await probation(), '');
  });

  test.run();

  /** Puts a file there, and the bundles that executables run. */
  function put(path: string, content: string | Buffer, mode?: number): void {
    for (const name of readdirSync(scratch).filter((each) => each.endsWith('.cjs')))
      container.put(`/opt/bundles/${name}`, readFileSync(join(scratch, name)));
    container.put(path, content, mode);
  }

  /** Begins to install a package with this updater in it and a data file beside it. */
  async function install(updater: Content): Promise<void> {
    const folder = join(scratch, 'packages');
    mkdirSync(folder, { recursive: true });
    const built = await buildPackage(
      {
        version: newVersion,
        modules: [
          { name: 'updater', src: 'updater', self: true },
          { name: 'data', src: 'model.bin', dst: '/opt/tope/model.bin' },
        ],
        files: {
          'updater/': '',
          [`updater/tope-updater-${arch}`]: { content: updater, mode: 0o755 },
          'model.bin': `model of ${newVersion}`,
        },
        withDigests: true,
        sign: (manifest) => signer.sign(manifest),
      },
      join(folder, 'package.zip'),
    );
    put('/root/package.zip', readFileSync(built.path));
    await container.sh(
      'systemd-run --quiet --collect --unit=install /opt/node /opt/tope-updater.cjs install --yes /root/package.zip',
    );
  }

  /** `data` of the daemon's answer; undefined where nobody answers. */
  async function ask<Data>(path: string): Promise<Data | undefined> {
    const code = `fetch('http://127.0.0.1:${port}${path}').then((r) => r.text()).then(console.log)`;
    const text = await container.sh(`/opt/node -e "${code}"`).catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as { data: Data }).data;
  }

  async function runs(version: string): Promise<void> {
    await until(
      `version ${version}`,
      async () => (await ask<{ version: string }>('/healthz'))?.version === version,
    );
  }

  /** One whole version runs and stands, nothing is left to do, and the newest of the history tells how that came. */
  async function rests(version: string, outcome: string, error: RegExp | null): Promise<void> {
    let last: unknown;
    await until(`rest as ${version}, ${outcome}`, async () => {
      const running = (await ask<{ version: string }>('/healthz'))?.version;
      const entry = (await ask<{ updates: HistoryEntry[] }>('/api/v1.0/history'))?.updates[0];
      const files = await container.sh(
        `sed -n '2s/# updater //p' ${prefix}/tope-updater; cat /opt/tope/model.bin; echo; ls ${prefix}/backups`,
      );
      last = { running, entry, files };
      const [stands, model, ...backups] = files.split('\n');
      const isWhole = running === version && stands === version && model === `model of ${version}`;
      const isTold =
        entry?.outcome === outcome &&
        (error === null ? entry.error === null : error.test(String(entry.error)));
      return isWhole && isTold && !backups.includes('journal');
    }).catch((thrown: unknown) => {
      throw new Error(`${thrown}\nlast: ${JSON.stringify(last)}`);
    });
  }

  /** Lines of the probation; empty where there is none. */
  async function probation(): Promise<string> {
    return await container.sh(`cat ${prefix}/probation 2>/dev/null || true`);
  }
}
