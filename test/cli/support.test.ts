/** `support`: what is in the bundle of a device that has been through something, and that no secret is. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { until } from '../integration/daemon.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { concurrently } from '../runner/concurrently.ts';
import { command } from './command.ts';

const tests = concurrently('support', 2);

/** Each is planted where a device could have it. */
const secrets = {
  token: 'TOKEN-9f8e7d',
  urlSignature: 'SIGNATURE-1a2b3c',
  urlPassword: 'PASSWORD-4d5e6f',
  reportPassword: 'PASSWORD-7a8b9c',
  environment: 'ENVIRONMENT-0d1e2f',
  logBearer: 'BEARER-3a4b5c',
  logParameter: 'PARAMETER-6d7e8f',
  linked: 'LINKED-9a0b1c',
};

tests('logs, state, history, versions and configuration, without any secret', () =>
  withDevice(async (device) => {
    await livedThrough(device);
    const bundle = join(device.folder, 'bundle.tar.gz');
    const tokenFile = join(device.folder, 'token');
    const flags = ['--dir', device.work, '--token-file', tokenFile, '--config', await configFile(device)];
    const { status, stdout, stderr } = await command(['support', '-o', bundle, ...flags]);
    assert.is(status, 0, stderr);
    assert.is(stdout, `${bundle}\n`);
    assert.is(statSync(bundle).mode & 0o777, 0o600);

    const files = unpacked(device, bundle);
    assert.equal([...files.keys()].sort(), [
      'backups/history.jsonl',
      'config.json',
      'files.txt',
      'logs/audit.json',
      'logs/updater.log',
      'tmp/state.json',
      'versions.json',
    ]);
    const state = JSON.parse(files.get('tmp/state.json') ?? '') as Record<string, unknown>;
    assert.is(state.version, '3.0.0');
    assert.match(String(state.package_url), /^http:\/\/127\.0\.0\.1:\d+\/absent\.zip\?\.\.\.$/);
    assert.match(files.get('backups/history.jsonl') ?? '', /"version":"2\.0\.0"/);
    assert.match(files.get('logs/updater.log') ?? '', /stage installing -> success/);
    assert.match(files.get('versions.json') ?? '', /"node": "v\d+/);
    assert.match(files.get('files.txt') ?? '', /^100600 +\d+ \S+ tmp\/state\.json$/m);
    assert.match(files.get('config.json') ?? '', new RegExp(`"token_file": "${tokenFile}"`));
    for (const [file, text] of files)
      for (const [name, secret] of Object.entries(secrets))
        assert.not(text.includes(secret), `${name} in ${file}`);
    // The net is not so fine that it lets nothing through.
    assert.match(
      files.get('logs/updater.log') ?? '',
      /the printer said: authorization: Bearer \.\.\. and more/i,
    );
  }),
);

tests('a file that is there is not written over, and a folder that is not there is named', () =>
  withDevice(async (device) => {
    const bundle = join(device.folder, 'precious');
    writeFileSync(bundle, 'precious');
    const refused = await command(['support', '-o', bundle, '--dir', device.work]);
    assert.is(refused.status, 1);
    assert.match(refused.stderr, /cannot write .*precious: EEXIST/);
    assert.is(readFileSync(bundle, 'utf8'), 'precious');
    const nowhere = join(device.folder, 'nowhere');
    const lost = await command(['support', '--dir', nowhere], { cwd: device.folder });
    assert.is(lost.status, 1);
    assert.match(lost.stderr, new RegExp(`cannot read the work directory ${nowhere}: ENOENT`));
  }),
);

tests('a device that never ran gives a bundle too, named by the time', () =>
  withDevice(async (device) => {
    const { status, stdout } = await command(['support', '--dir', device.work], { cwd: device.folder });
    assert.is(status, 0);
    assert.match(stdout, /\/tope-updater-support-\d{8}T\d{6}Z\.tar\.gz\n$/);
    assert.equal([...unpacked(device, stdout.trim()).keys()].sort(), [
      'config.json',
      'files.txt',
      'versions.json',
    ]);
  }),
);

tests('of a package that waits, the key of its seal stays on the device', () =>
  withDevice(async (device) => {
    const daemon = await device.start();
    await daemon.post('download', await device.offer(device.usual('2.0.0')));
    await daemon.reach('toInstall');
    const { package_seal: seal } = JSON.parse(readFileSync(join(device.work, 'tmp/state.json'), 'utf8'));
    const bundle = join(device.folder, 'bundle.tar.gz');
    const { status, stderr } = await command(['support', '-o', bundle, '--dir', device.work]);
    assert.is(status, 0, stderr);
    const files = unpacked(device, bundle);
    const told = JSON.parse(files.get('tmp/state.json') ?? '');
    assert.equal(told.package_seal, { key: '...', tag: seal.tag });
    for (const [file, text] of files) assert.not(text.includes(seal.key), file);
  }),
);

/** One update that went well, and one that was cut off in the middle of its download. */
async function livedThrough(device: Device): Promise<void> {
  writeFileSync(join(device.folder, 'token'), `${secrets.token}\n`);
  const environment = { SERVICE_PASSWORD: secrets.environment };
  const daemon = await device.start([], environment);
  const { stage, error } = await device.install(daemon, device.usual('2.0.0'));
  assert.is(stage, 'success', error ?? '');
  const audit = await command(['audit', '--token-file', join(device.folder, 'token'), '--url', daemon.url]);
  assert.is(audit.status, 0, audit.stderr);
  const request = {
    version: '3.0.0',
    package_url: `${device.store.url.replace('//', `//user:${secrets.urlPassword}@`)}/absent.zip?X-Amz-Signature=${secrets.urlSignature}`,
    package_name: 'absent.zip',
    package_size: 1000,
    package_md5: '0'.repeat(32),
  };
  assert.is((await daemon.post('download', request)).code, 200);
  await until('a try has failed', () => /trying again/.test(daemon.printed()));
  await daemon.end('SIGKILL');
  assert.ok(readFileSync(join(device.work, 'tmp/state.json'), 'utf8').includes(secrets.urlSignature));
  appendFileSync(
    join(device.work, 'logs/updater.log'),
    [
      `the printer said: Authorization: Bearer ${secrets.logBearer} and more`,
      `GET /p.zip?X-Amz-Signature=${secrets.logParameter}&x=1 with token ${secrets.token}`,
      `api_key=${secrets.logParameter} PASSWORD=${secrets.logParameter}`,
      '',
    ].join('\n'),
  );
  const elsewhere = join(device.folder, 'shadow');
  writeFileSync(elsewhere, secrets.linked);
  symlinkSync(elsewhere, join(device.work, 'logs/updater.log.1'));
}

async function configFile(device: Device): Promise<string> {
  const path = join(device.folder, 'config.json');
  writeFileSync(
    path,
    JSON.stringify({ report_url: `http://user:${secrets.reportPassword}@127.0.0.1:9/report` }),
  );
  return path;
}

/** The texts of a bundle, unpacked by the system's tar; names are those within its one folder. */
function unpacked(device: Device, bundle: string): Map<string, string> {
  const folder = join(device.folder, `unpacked-${Date.now()}`);
  mkdirSync(folder);
  const { status, stderr } = spawnSync('tar', ['-xzf', bundle, '-C', folder, '--strip-components=1'], {
    encoding: 'utf8',
  });
  assert.is(status, 0, stderr);
  const files = device.namesBelow(folder).filter((name) => statSync(join(folder, name)).isFile());
  return new Map(files.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

tests.run();
