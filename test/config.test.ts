/** The configuration: defaults, precedence, and that every mistake names itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ConfigKey, type Flags, options, resolveConfig, UsageError } from '../src/config.ts';

const test = suite('config');

test('the defaults work with no configuration at all', () => {
  const config = resolveConfig({}, undefined);
  assert.is(config.dir, '.');
  assert.is(config.host, '127.0.0.1');
  assert.is(config.port, 12315);
  assert.is(config.report_url, 'http://localhost:9080/api/v1.0/ota/report');
  assert.equal(config.allow_root, ['/opt/tope']);
  assert.is(config.allow_http, false);
  assert.is(config.gui, '/opt/tope/ota-gui');
  assert.is(config.log_level, 'info');
  assert.equal(config.trusted_keys, []);
  assert.is(config.token_file, undefined);
});

test('flags win over the file, the file over the defaults', () => {
  const file = JSON.stringify({ port: 1000, host: '10.0.0.1', allow_root: ['/a'], trusted_keys: ['k'] });
  const config = resolveConfig({ port: '2000', 'allow-root': ['/b/', '/c//d'] }, file);
  assert.is(config.port, 2000);
  assert.is(config.host, '10.0.0.1');
  assert.equal(config.allow_root, ['/b', '/c/d']);
  assert.equal(config.trusted_keys, ['k']);
  assert.is(config.log_level, 'info');
});

test('the result is frozen, lists too', () => {
  const config = resolveConfig({}, undefined);
  assert.ok(Object.isFrozen(config));
  assert.ok(Object.isFrozen(config.allow_root));
  assert.ok(Object.isFrozen(resolveConfig({ 'allow-root': ['/a'] }, undefined).allow_root));
});

test('with a unix socket there is a TCP port only when one is asked for', () => {
  assert.is(resolveConfig({ socket: '/run/u.sock' }, undefined).port, undefined);
  assert.is(resolveConfig({ socket: '/run/u.sock', port: '1234' }, undefined).port, 1234);
  assert.is(resolveConfig({ socket: '/run/u.sock' }, '{"port": 12315}').port, 12315);
});

const badFlags: readonly (readonly [string, Flags])[] = [
  ['--port', { port: '65536' }],
  ['--port', { port: '12x' }],
  ['--port', { port: '-1' }],
  ['--port', { port: '' }],
  ['--host', { host: '' }],
  ['--dir', { dir: 'a\0b' }],
  ['--report-url', { 'report-url': 'ftp://device/' }],
  ['--report-url', { 'report-url': 'localhost:9080' }],
  ['--allow-root', { 'allow-root': ['relative'] }],
  ['--allow-root', { 'allow-root': ['/opt/../etc'] }],
  ['--gui', { gui: 'ota-gui' }],
  ['--socket', { socket: 'updater.sock' }],
  ['--log-level', { 'log-level': 'loud' }],
  ['--log-format', { 'log-format': 'xml' }],
  ['--rate-limit', { 'rate-limit': '0' }],
  ['--download-deadline', { 'download-deadline': '1.5' }],
];
for (const [name, flags] of badFlags)
  test(`a bad flag names itself: ${name} ${JSON.stringify(Object.values(flags)[0])}`, () => {
    const error = usageError(() => resolveConfig(flags, undefined));
    assert.ok(error.message.startsWith(`${name}: must `), error.message);
  });

const badFiles: readonly (readonly [string, string])[] = [
  ['{', 'is not JSON'],
  ['[]', 'must be a JSON object'],
  ['null', 'must be a JSON object'],
  ['{"prot": 1}', 'unknown key "prot"; did you mean "port"?'],
  ['{"__proto__": {"port": 1}}', 'unknown key "__proto__"'],
  ['{"config": "x"}', 'unknown key "config"'],
  ['{"report-url": "http://x/"}', 'unknown key "report-url"'],
  ['{"port": "12315"}', 'port: must be a number from 0 to 65535'],
  ['{"port": null}', 'port: must be a number'],
  ['{"allow_root": "/opt"}', 'allow_root: must be a list'],
  ['{"allow_root": []}', 'allow_root: must name at least one directory'],
  ['{"allow_http": "yes"}', 'allow_http: must be true or false'],
  ['{"trusted_keys": [1]}', 'trusted_keys: must be a string'],
];
for (const [content, expected] of badFiles)
  test(`a bad file names what is wrong: ${content}`, () => {
    const error = usageError(() => resolveConfig({}, content));
    assert.ok(error.message.startsWith('config file: '), error.message);
    assert.ok(error.message.includes(expected), error.message);
  });

test('attributes of the fleet are KEY=VALUE on the command line, and a list of other words is refused', () => {
  const { fleet_attributes } = resolveConfig({ 'fleet-attribute': ['line=7', 'note=a=b'] }, undefined);
  assert.equal(fleet_attributes, { line: '7', note: 'a=b' });
  for (const bad of [['line'], ['=7']])
    assert.match(usageError(() => resolveConfig({ 'fleet-attribute': bad }, undefined)).message, /KEY=VALUE/);
});

test('the buttons of the page are named one by one, or none', () => {
  for (const good of ['none', 'rollback', 'consent,install,cancel'])
    assert.is(resolveConfig({ 'screen-actions': good }, undefined).screen_actions, good);
  for (const bad of ['', 'reboot', 'none,install', 'install,', 'install cancel'])
    assert.match(
      usageError(() => resolveConfig({ 'screen-actions': bad }, undefined)).message,
      /screen-actions/,
    );
});

test('every key of the table can be set in the file, and every flag is its own', () => {
  const samples: Record<ConfigKey, unknown> = {
    dir: 'w',
    host: 'h',
    port: 1,
    socket: '/s',
    token_file: 't',
    report_url: 'http://r/',
    allow_root: ['/a'],
    allow_http: true,
    screen_actions: 'install,cancel',
    gui: '/g',
    log_level: 'debug',
    log_format: 'json',
    device_type: 'printer',
    trusted_keys: ['k'],
    ca_file: 'c',
    cert_file: 'd',
    key_file: 'e',
    rate_limit: 5,
    download_deadline_s: 6,
    download_wait_s: 7,
    adaptive_download: false,
    keep_package: true,
    audit_interval_s: 86_400,
    fleet_url: 'https://fleet.example/hawkbit',
    fleet_tenant: 'plant-2',
    fleet_id: 'printer:7',
    fleet_id_file: '/etc/machine-id',
    fleet_token_file: '/etc/tope/token',
    fleet_token_kind: 'gateway',
    fleet_attributes: { hw_revision: '3' },
    fleet_soft: 'ask',
    fleet_confirm: 'auto',
    fleet_set_name: 'printer',
  };
  assert.equal(resolveConfig({}, JSON.stringify(samples)), samples);
  const flags = Object.values(options).map(({ flag }) => flag);
  assert.is(new Set(flags).size, flags.length);
});

test('docs/configuration.md has a row for every key, with its flag, default and meaning', () => {
  const page = readFileSync(join(import.meta.dirname, '../docs/configuration.md'), 'utf8');
  for (const [key, { flag, doc, initial }] of Object.entries(options)) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${key}\` `));
    assert.ok(row, `no row for ${key}: run \`npx tsx build/configuration-page.ts\``);
    assert.ok(row?.includes(`--${flag}`) && row.includes(doc), `the row of ${key} is out of date`);
    if (typeof initial === 'string')
      assert.ok(row?.includes(`\`${initial}\``), `the default of ${key} is out of date`);
  }
});

function usageError(action: () => unknown): UsageError {
  try {
    action();
  } catch (thrown) {
    assert.instance(thrown, UsageError);
    return thrown as UsageError;
  }
  throw new Error('nothing was refused');
}

test.run();
