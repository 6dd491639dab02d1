/**
 * The scripted server against exchanges that were recorded on real ones (fixtures/ddi-captures.json): asked the same in the
 * same situation, it answers with the same status and the same keys.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Assignment,
  type Ddi,
  ddiModel,
  type Flavour,
  goosebit,
  hawkbit09,
  hawkbit11,
} from '../fixtures/ddi-model.ts';

const test = suite('scripted DDI server');

interface Capture {
  readonly name: string;
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly send?: unknown;
  readonly status: number;
  readonly answer?: unknown;
}
type ServerName = 'hawkBit 1.1.0' | 'hawkBit 0.9.0' | 'gooseBit 0.2.12';

const captures = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/ddi-captures.json'), 'utf8'),
) as Record<ServerName, readonly Capture[]>;
const flavours: Record<ServerName, Flavour> = {
  'hawkBit 1.1.0': hawkbit11,
  'hawkBit 0.9.0': hawkbit09,
  'gooseBit 0.2.12': goosebit,
};
const printer = {
  name: 'printer',
  version: '1.5.0',
  files: ['printer-1.5.0.zip'],
  metadata: { 'tope.allow_downgrade': 'false' },
};

/** The order of the capture's own number, running unless told otherwise. */
const running =
  (more: Partial<Assignment> = {}) =>
  (ddi: Ddi, id: string) =>
    void ddi.assign({ modules: [printer], id, ...more });
const in_ =
  (state: 'canceling' | 'canceled' | 'finished' | 'downloaded', more: Partial<Assignment> = {}) =>
  (ddi: Ddi, id: string) => {
    running(more)(ddi, id);
    ddi.action(id).state = state;
    ddi.state.asksAttributes = false;
    if (state === 'finished') ddi.state.installed = id;
  };
const told = (ddi: Ddi) => {
  ddi.state.asksAttributes = false;
};
const asks = () => undefined;

const table: readonly (readonly [ServerName, string, (ddi: Ddi, id: string) => void])[] = [
  ['hawkBit 1.1.0', 'poll no token', asks],
  ['hawkBit 1.1.0', 'poll wrong target token', asks],
  ['hawkBit 1.1.0', 'poll target token', asks],
  ['hawkBit 1.1.0', 'poll after configData: link is gone', told],
  ['hawkBit 1.1.0', 'configData replace', asks],
  ['hawkBit 1.1.0', 'configData empty data', asks],
  ['hawkBit 1.1.0', 'configData value 128', asks],
  ['hawkBit 1.1.0', 'configData value 129 characters', asks],
  ['hawkBit 1.1.0', 'configData key 129 characters', asks],
  ['hawkBit 1.1.0', 'configData key with odd characters', asks],
  ['hawkBit 1.1.0', 'configData value with <b>', asks],
  ['hawkBit 1.1.0', 'configData value with newline and umlaut', asks],
  [
    'hawkBit 1.1.0',
    'poll with deployment',
    (ddi) => {
      running()(ddi, '1');
      told(ddi);
    },
  ],
  ['hawkBit 1.1.0', 'deploymentBase forced', running()],
  ['hawkBit 1.1.0', 'deploymentBase soft', running({ type: 'soft' })],
  ['hawkBit 1.1.0', 'deploymentBase downloadonly', running({ type: 'downloadonly' })],
  ['hawkBit 1.1.0', 'deploymentBase before the maintenance window', running({ window: 'closed' })],
  ['hawkBit 1.1.0', 'deploymentBase inside the maintenance window', running({ window: 'open' })],
  [
    'hawkBit 1.1.0',
    'poll after the maintenance window has passed',
    (ddi) => running({ window: 'passed' })(ddi, '33'),
  ],
  ['hawkBit 1.1.0', 'artifact', running()],
  ['hawkBit 1.1.0', 'artifact Range', running()],
  ['hawkBit 1.1.0', 'artifact Range If-Range other ETag', running()],
  ['hawkBit 1.1.0', 'artifact Range If-Range Last-Modified', running()],
  ['hawkBit 1.1.0', 'artifact Range beyond the end', running()],
  ['hawkBit 1.1.0', 'artifact without auth', running()],
  ['hawkBit 1.1.0', 'feedback scheduled/none', running()],
  ['hawkBit 1.1.0', 'feedback downloaded/none', running()],
  ['hawkBit 1.1.0', 'feedback rejected/none', running()],
  ['hawkBit 1.1.0', 'feedback proceeding with progress', running()],
  ['hawkBit 1.1.0', 'feedback proceeding/success', running()],
  ['hawkBit 1.1.0', 'feedback without result', running()],
  ['hawkBit 1.1.0', 'feedback without finished', running()],
  ['hawkBit 1.1.0', 'feedback bad execution', running()],
  ['hawkBit 1.1.0', 'feedback details with <b>', running()],
  ['hawkBit 1.1.0', 'feedback details with <new>', running()],
  ['hawkBit 1.1.0', 'feedback details 51 entries', running()],
  ['hawkBit 1.1.0', 'feedback for another action', asks],
  ['hawkBit 1.1.0', 'feedback closed/success', running()],
  ['hawkBit 1.1.0', 'feedback after the end: 410', in_('finished')],
  [
    'hawkBit 1.1.0',
    'poll after success: installedBase, configData asked again',
    (ddi) => {
      in_('finished')(ddi, '1');
      ddi.state.asksAttributes = true;
    },
  ],
  ['hawkBit 1.1.0', 'feedback closed/none', running()],
  ['hawkBit 1.1.0', 'deploymentBase while canceling', in_('canceling')],
  ['hawkBit 1.1.0', 'deploymentBase of a finished action', in_('finished')],
  ['hawkBit 1.1.0', 'cancelAction', in_('canceling')],
  ['hawkBit 1.1.0', 'cancel feedback proceeding', in_('canceling')],
  ['hawkBit 1.1.0', 'cancel feedback canceled/none: does not end it', in_('canceling')],
  ['hawkBit 1.1.0', 'cancel feedback closed/success', in_('canceling')],
  ['hawkBit 1.1.0', 'cancel feedback again', in_('canceled')],
  ['hawkBit 1.1.0', 'cancel feedback rejected', in_('canceling')],
  ['hawkBit 1.1.0', 'cancel feedback after success', in_('finished')],
  ['hawkBit 1.1.0', 'deployment feedback after cancelled', in_('canceled')],
  ['hawkBit 1.1.0', 'deployment closed/success while canceling', in_('canceling')],
  ['hawkBit 1.1.0', 'deployment feedback canceled', running()],
  ['hawkBit 1.1.0', 'downloadonly: downloaded/none ends it', running({ type: 'downloadonly' })],
  [
    'hawkBit 1.1.0',
    'downloadonly: closed/success after downloaded (410?)',
    in_('downloaded', { type: 'downloadonly' }),
  ],
  ['hawkBit 1.1.0', 'confirmationBase of the action', running({ confirm: true })],
  ['hawkBit 1.1.0', 'deployment feedback before confirmation', running({ confirm: true })],
  ['hawkBit 1.1.0', 'confirmation denied', running({ confirm: true })],
  ['hawkBit 1.1.0', 'confirmation bad', running({ confirm: true })],
  ['hawkBit 1.1.0', 'confirmation confirmed', running({ confirm: true })],
  ['hawkBit 1.1.0', 'confirmation again', running()],
  ['hawkBit 1.1.0', 'PUT installedBase', asks],
  [
    'hawkBit 1.1.0',
    'PUT installedBase again',
    (ddi) => {
      ddi.state.installed = 'printer:1.6.0';
    },
  ],
  ['hawkBit 1.1.0', 'PUT installedBase unknown', asks],
  ['hawkBit 1.1.0', 'PUT installedBase while an action runs', (ddi) => running()(ddi, '25')],
  [
    'hawkBit 1.1.0',
    'feedback beyond 1000 entries',
    (ddi, id) => {
      running()(ddi, id);
      ddi.action(id).rows = 1000;
    },
  ],
  [
    'hawkBit 1.1.0',
    'closed/success beyond 1000 entries',
    (ddi, id) => {
      running()(ddi, id);
      ddi.action(id).rows = 1000;
    },
  ],
  [
    'hawkBit 1.1.0',
    'poll after the target was deleted (target token)',
    (ddi) => {
      ddi.state.deleted = true;
    },
  ],
  [
    'hawkBit 1.1.0',
    'feedback after the target was deleted',
    (ddi, id) => {
      running()(ddi, id);
      ddi.state.deleted = true;
    },
  ],
  ['hawkBit 1.1.0', 'feedback to an auto-closed action', in_('canceled')],
  ['hawkBit 0.9.0', 'artifact', running()],
  ['hawkBit 0.9.0', 'feedback details 51 entries', running()],
  ['gooseBit 0.2.12', 'gb-poll-first', asks],
  ['gooseBit 0.2.12', 'gb-deploymentBase', running({ modules: [{ ...printer, metadata: {} }] })],
  ['gooseBit 0.2.12', 'gb-feedback-proceeding-none', running()],
  ['gooseBit 0.2.12', 'gb-feedback-closed-success', running()],
  ['gooseBit 0.2.12', 'gb-feedback-closed-again', in_('finished')],
  ['gooseBit 0.2.12', 'gb-deploymentBase-unknown', asks],
  [
    'gooseBit 0.2.12',
    'gb plugin: poll',
    (ddi) => {
      running()(ddi, '-1');
      told(ddi);
    },
  ],
  [
    'gooseBit 0.2.12',
    'gb plugin: poll after success: offered again, as nobody told sw_version',
    (ddi) => in_('finished')(ddi, '-1'),
  ],
  [
    'gooseBit 0.2.12',
    'gb plugin: poll after configData with the new sw_version',
    (ddi) => {
      in_('finished')(ddi, '-1');
      ddi.state.attributes = { sw_version: '1.5.0' };
    },
  ],
];

for (const [server, name, prepare] of table)
  test(`${server}: ${name}`, () => {
    const capture = captures[server].find((one) => one.name === name);
    assert.ok(capture, 'no such capture');
    const [method = '', path = ''] = capture.request.split(' ');
    const [, device = '', id = ''] = /^\{D\}\/([^/?]+)(?:\/\w+\/([-\w]+))?/.exec(path) ?? [];
    const ddi = ddiModel({
      flavour: flavours[server],
      device,
      tenant: 'DEFAULT',
      authorization: 'TargetToken right',
      linkBase: () => 'http://x',
      files: new Map([['printer-1.5.0.zip', new Uint8Array(200_479)]]),
      sets: ['printer:1.5.0', 'printer:1.6.0'],
    });
    prepare(ddi, id);
    const isWithout = /no token|without auth/.test(name);
    const given = Object.fromEntries(
      Object.entries(capture.headers ?? {}).map(([key, value]) => [key.toLowerCase(), value]),
    );
    const isWrong = given.authorization?.includes('wrong') === true;
    const authorization = isWithout
      ? {}
      : { authorization: isWrong ? 'TargetToken wrong' : 'TargetToken right' };
    const reply = ddi.handle({
      method,
      path: path.replace('{D}', '/DEFAULT/controller/v1'),
      headers: { ...given, ...authorization },
      body: capture.send === undefined ? '' : JSON.stringify(capture.send),
    });
    assert.is(reply.status, capture.status);
    if (typeof capture.answer !== 'object' || capture.answer === null) return;
    assert.equal(
      shapeOf(JSON.parse(String(reply.body)), capture.answer),
      shapeOf(capture.answer, capture.answer),
    );
  });

function ownDdi(): Ddi {
  return ddiModel({
    flavour: hawkbit11,
    device: 'd',
    tenant: 'T',
    authorization: undefined,
    linkBase: () => '',
    files: new Map(),
  });
}

test('a GET of an ended order takes its end back, as on hawkBit', () => {
  const ddi = ownDdi();
  in_('finished')(ddi, '1');
  ddi.handle({ method: 'GET', path: '/T/controller/v1/d/deploymentBase/1', headers: {}, body: '' });
  assert.equal(ddi.action('1').told, ['retrieved']);
});

test('a time-forced order is an attempt until its hour, and its link changes then', () => {
  const ddi = ownDdi();
  const modules = [{ name: 'printer', version: '1.5.0', files: [] }];
  const id = ddi.assign({ type: 'timeforced', forcedFromMs: 1000, modules });
  const get = (path: string) => {
    const request = { method: 'GET', path: `/T/controller/v1/d${path}`, headers: {}, body: '' };
    return JSON.parse(String(ddi.handle(request).body));
  };
  const plan = () => get(`/deploymentBase/${id}`).deployment;
  ddi.now = () => 999;
  assert.equal([plan().download, plan().update], ['attempt', 'attempt']);
  const before = get('')._links.deploymentBase.href;
  ddi.now = () => 1000;
  assert.equal([plan().download, plan().update], ['forced', 'forced']);
  assert.is.not(get('')._links.deploymentBase.href, before);
});

/** Keys and kinds; where the recording was trimmed to a text, nothing of what is there. */
function shapeOf(value: unknown, recorded: unknown): unknown {
  if (typeof recorded === 'string' || recorded === undefined) return 'text';
  if (Array.isArray(recorded)) return Array.isArray(value) ? [shapeOf(value[0], recorded[0])] : 'no list';
  if (typeof recorded !== 'object' || recorded === null) return typeof value;
  if (typeof value !== 'object' || value === null) return 'no object';
  const skipped = ['message', 'info', 'timestamp', 'exceptionClass'];
  return Object.fromEntries(
    Object.entries(value as Record<string, unknown>)
      .filter(([key]) => !skipped.includes(key))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, shapeOf(each, (recorded as Record<string, unknown>)[key])]),
  );
}

test.run();
