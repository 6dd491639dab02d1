/** What a manifest says when all is well, and what it resolves to; the refusals are in the hostile corpus. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits } from '../../src/limits.ts';
import type { CompleteManifest } from '../../src/package/listed-files.ts';
import { parseManifest } from '../../src/package/manifest.ts';
import type { PackageEntry } from '../../src/package/module-parts.ts';
import { type ReleaseRules, resolveRelease } from '../../src/package/release.ts';
import type { Release } from '../../src/release.ts';
import { refusal } from '../deploy/parts.ts';

const reading = suite('reading a manifest');
const module = { name: 'app', src: 'modules/app', dst: '/opt/tope/app' };

function parse(value: unknown): { manifest: CompleteManifest; warnings: string[] } {
  const { manifest, warnings } = parseManifest(
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  );
  const { files, ...rest } = manifest;
  if (files !== undefined && !Array.isArray(files)) throw new Error('the list is elsewhere');
  return { manifest: { ...rest, ...(files && { files }) }, warnings };
}

reading('keeps every documented key', () => {
  const full = {
    version: '1.2.3',
    modules: [
      {
        ...module,
        process_name: 'app',
        restart_order: 1,
        size: 5,
        md5: 'A'.repeat(32),
        sha256: 'B'.repeat(64),
        mode: '0755',
        owner: 'tope:daemon',
        service: 'app@1.service',
        start: ['/opt/tope/app', '--fast'],
        health: { http: 'http://127.0.0.1:9080/health', timeout_s: 2.5 },
        config: ['*.cfg'],
        keep: ['uploads/**'],
        exact: true,
      },
    ],
    files: [{ path: 'modules/app', size: 5, sha256: 'b'.repeat(64), mode: '755' }],
    compatible: ['printer-a'],
    min_version: '1.0.0',
    reboot: true,
    notes: { en: 'New:\n- faster', zh: '更快' },
  };
  const { manifest, warnings } = parse(full);
  const [only] = full.modules;
  assert.equal(warnings, []);
  assert.equal(manifest, {
    ...full,
    modules: [{ ...only, mode: 0o755, md5: 'a'.repeat(32), sha256: 'b'.repeat(64) }],
    files: [{ ...full.files[0], mode: 0o755 }],
  });
});

reading('warns about unknown keys, once a kind, and drops them', () => {
  const { manifest, warnings } = parse({
    version: '1.2.3',
    $schema: 'x',
    'bad\nkey': 1,
    modules: [
      { ...module, color: 'red', health: { tcp: 80, retries: 3 } },
      { ...module, name: 'b', dst: '/opt/tope/b', color: 'blue' },
    ],
  });
  assert.equal(warnings, [
    'manifest.json: unknown key $schema is ignored',
    'manifest.json: unknown key bad\\u{a}key is ignored',
    'manifest.json: unknown key modules[0].color is ignored',
    'manifest.json: unknown key modules[0].health.retries is ignored',
  ]);
  assert.not('color' in (manifest.modules[0] ?? {}));
  assert.not('$schema' in manifest);
});

reading('takes release notes as a text or by language, plain and bounded', () => {
  const noted = (notes: unknown) => parse({ version: '1.2.3', modules: [module], notes });
  assert.is(noted('one\ntwo').manifest.notes, 'one\ntwo');
  const most = 'x'.repeat(limits.notesBytes - 2);
  assert.is(noted(most).manifest.notes, most);
  const refused: [unknown, RegExp][] = [
    [`${most}y`, /notes: must not be longer than 4096 bytes/],
    [{ en: most }, /notes: must not be longer/],
    ['', /notes: must not be empty/],
    [{}, /notes: must have a language/],
    [{ English: 'x' }, /must be a language such as "en"/],
    [{ en: 1 }, /notes\.en: /],
    ['a\u001b[2J', /notes: must be plain text/],
    [{ en: 'a\u202eb' }, /notes\.en: must be plain text/],
    [7, /notes: /],
  ];
  for (const [notes, message] of refused) assert.throws(() => noted(notes), message);
});

reading('takes the same key in different objects, and keys of Object.prototype, as nothing special', () => {
  const { warnings } = parse({ version: '1.2.3', modules: [module], constructor: 1, toString: 2 });
  assert.is(warnings.length, 2);
});

reading('names the field in a refusal and cleans what it quotes', () => {
  assert.throws(
    () => parse({ version: '1.2.3', modules: [{ ...module, restart_order: 'one\u001b[2J' }] }),
    /^INVALID_MANIFEST: manifest\.json: modules\[0\]\.restart_order: .*"one\\u\{1b\}\[2J"$/,
  );
});

reading('refuses by name what it is required to know and does not, before it looks at anything else', () => {
  const requires = ['config', 'teleport', 'x\u0007'];
  assert.throws(
    () => parse({ version: 'of the future', modules: 'elsewhere', requires }),
    /^INCOMPATIBLE: the package requires "teleport", "x\\u\{7\}", which this updater does not know/,
  );
  assert.equal(parse({ version: '1.2.3', modules: [module], requires: ['config'] }).warnings, []);
  assert.throws(() => parse({ version: '1.2.3', modules: [module], requires: 'config' }), /requires: /);
});

reading('takes a manifest of exactly the largest size', () => {
  const text = JSON.stringify({ version: '1.2.3', modules: [module] });
  assert.is(parse(text.padEnd(limits.manifestBytes)).manifest.version, '1.2.3');
});

reading('reads strings with escapes, quotes and brackets as strings', () => {
  const tricky = ['/bin/sh', '"}]{[\\', '\\"', ':', '", "name": "x'];
  const { manifest } = parse({ version: '1.2.3', modules: [{ ...module, start: tricky }] });
  assert.equal(manifest.modules[0]?.start, tricky);
});

reading.run();

const resolving = suite('resolving a release');
const rules: ReleaseRules = {
  expectedVersion: '1.2.3',
  allowedRoots: ['/opt/tope', '/srv'],
  workDirectory: '/opt/tope/updater',
};

function file(name: string, sizeBytes = 5, mode?: number): PackageEntry {
  return { name, isDirectory: false, sizeBytes, mode };
}

function folder(name: string): PackageEntry {
  return { name, isDirectory: true, sizeBytes: 0, mode: 0o755 };
}

function resolve(
  modules: readonly object[],
  entries: readonly PackageEntry[],
  root: object = {},
): Promise<Release> {
  return resolveRelease(parse({ version: '1.2.3', modules, ...root }).manifest, entries, rules);
}

resolving('a file becomes a module of one file', async () => {
  const release = await resolve(
    [{ ...module, restart_order: 2, health: { exec: ['/bin/true'], timeout_s: 1.5 } }],
    [file('modules/app', 5, 0o755)],
  );
  assert.equal(release, {
    version: '1.2.3',
    modules: [
      {
        name: 'app',
        owner: undefined,
        exact: false,
        config: [],
        keep: [],
        commands: undefined,
        service: {
          module: 'app',
          processName: undefined,
          restartOrder: 2,
          unit: undefined,
          start: undefined,
          health: { kind: 'exec', argv: ['/bin/true'], timeoutMs: 1500 },
          enable: undefined,
          restart: undefined,
        },
        target: '/opt/tope/app',
        isTree: false,
        files: [
          {
            entry: 'modules/app',
            target: '/opt/tope/app',
            sizeBytes: 5,
            mode: 0o755,
            modeIsForced: false,
            md5: undefined,
            sha256: undefined,
            whenThere: 'replace',
          },
        ],
        directories: [],
      },
    ],
    compatible: undefined,
    minVersion: undefined,
    reboot: false,
  });
});

for (const [what, src] of [
  ['named by an entry of its own', 'web'],
  ['with a slash at its end', 'web/'],
]) {
  resolving(`a directory ${what} becomes a tree`, async () => {
    const entries = [
      file('web2/x'),
      file('web/a/b/c'),
      folder('web/empty'),
      file('web/index.html'),
      folder('web'),
    ];
    const [tree] = (await resolve([{ ...module, src, dst: '/srv/web/' }], entries)).modules;
    assert.is(tree?.isTree, true);
    assert.is(tree?.target, '/srv/web');
    assert.equal(
      [...(tree?.files ?? [])].map(({ target }) => target),
      ['/srv/web/a/b/c', '/srv/web/index.html'],
    );
    assert.equal(tree?.directories, ['/srv/web', '/srv/web/a', '/srv/web/a/b', '/srv/web/empty']);
  });
}

resolving(
  'a directory that only the names below it imply is a tree; an empty one is an empty tree',
  async () => {
    const entries = [file('web/x'), folder('none')];
    const modules = [
      { ...module, src: 'web' },
      { ...module, name: 'b', src: 'none', dst: '/srv/none' },
    ];
    const [implied, empty] = (await resolve(modules, entries)).modules;
    assert.equal(implied?.directories, ['/opt/tope/app']);
    assert.equal([empty?.isTree, empty?.files.length, empty?.directories], [true, 0, ['/srv/none']]);
  },
);

resolving('modes: listed files outrank the module, which outranks the package', async () => {
  const files = [{ path: 'web/a', size: 5, sha256: 'c'.repeat(64), mode: '4755' }];
  const entries = [file('web/a', 5, 0o644), file('web/b', 5, 0o644)];
  const [forced] = (await resolve([{ ...module, src: 'web', mode: '0700' }], entries, { files })).modules;
  assert.equal(
    [...(forced?.files ?? [])].map(({ mode, modeIsForced, sha256 }) => ({ mode, modeIsForced, sha256 })),
    [
      { mode: 0o4755, modeIsForced: true, sha256: 'c'.repeat(64) },
      { mode: 0o700, modeIsForced: true, sha256: undefined },
    ],
  );
  const [plain] = (await resolve([{ ...module, src: 'web' }], entries)).modules;
  assert.equal(
    [...(plain?.files ?? [])].map(({ mode, modeIsForced }) => ({ mode, modeIsForced })),
    [
      { mode: 0o644, modeIsForced: false },
      { mode: 0o644, modeIsForced: false },
    ],
  );
});

resolving('a digest at the module and the same one in files agree; a different one is refused', async () => {
  const listed = (sha256: string) => ({ files: [{ path: 'modules/app', size: 5, sha256 }] });
  const modules = [{ ...module, md5: 'd'.repeat(32), sha256: 'a'.repeat(64) }];
  const release = await resolve(modules, [file('modules/app')], listed('A'.repeat(64)));
  const [only] = release.modules[0]?.files ?? [];
  assert.equal([only?.md5, only?.sha256], ['d'.repeat(32), 'a'.repeat(64)]);
  assert.match(
    await refusal(() => resolve(modules, [file('modules/app')], listed('b'.repeat(64)))),
    /INVALID_MANIFEST: .*differs/,
  );
});

resolving('patches: what is named is a file of the package, and none is named for a tree', async () => {
  const deltas = (entry: string) => [{ from: 'A'.repeat(64), entry }];
  const files = (entry: string) => ({
    files: [{ path: 'modules/app', size: 5, sha256: 'a'.repeat(64), deltas: deltas(entry) }],
  });
  const modules = [{ name: 'app', src: 'modules/app', dst: '/opt/tope/app' }];
  const entries = [file('modules/app'), file('deltas/0')];
  assert.ok(await resolve(modules, entries, files('deltas/0')));
  assert.ok(await resolve([{ ...modules[0], deltas: deltas('deltas/0') }], entries));
  for (const act of [
    async () => resolve(modules, entries, files('deltas/1')),
    async () => resolve([{ ...modules[0], deltas: deltas('deltas/1') }], entries),
    async () => resolve([{ ...modules[0], src: 'modules', deltas: deltas('deltas/0') }], entries),
    async () => resolve(modules, entries, files('../0')),
  ])
    assert.match(await refusal(act), /^INVALID_MANIFEST: .*(files\[0\]|modules\[0\])\.deltas/);
});

resolving('of a file that people edit, the manifest says so', async () => {
  const app = async (keys: object) =>
    (await resolve([{ ...module, ...keys }], [file('modules/app')])).modules[0];
  for (const [keys, whenThere] of [
    [{}, 'replace'],
    [{ config: false }, 'replace'],
    [{ config: true }, 'config'],
  ] as const)
    assert.is([...((await app(keys))?.files ?? [])][0]?.whenThere, whenThere);
});

resolving('of a tree, patterns say what people edit and what is only theirs', async () => {
  const entries = ['printer.cfg', 'conf.d/a.cfg', 'conf.d/deep/b.cfg', 'uploads/x/y', 'app.js'].map((name) =>
    file(`web/${name}`),
  );
  const keys = { config: ['printer.cfg', 'conf.d/*.cfg', 'uploads/**'], keep: ['uploads/'], exact: true };
  const [tree] = (await resolve([{ ...module, src: 'web', dst: '/srv/web', ...keys }], entries)).modules;
  assert.equal(
    [...(tree?.files ?? [])].map(({ target, whenThere }) => [target.slice('/srv/web/'.length), whenThere]),
    [
      ['printer.cfg', 'config'],
      ['conf.d/a.cfg', 'config'],
      ['conf.d/deep/b.cfg', 'replace'],
      ['uploads/x/y', 'keep'],
      ['app.js', 'replace'],
    ],
  );
  assert.equal([tree?.config, tree?.keep, tree?.exact], [keys.config, keys.keep, true]);
});

resolving(
  'capabilities are those of a file, or of a tree by pattern, the first that matches; xattrs are dropped for all',
  async () => {
    const netRaw = 'AQAAAgAgAAAAAAAAAAAAAAAAAAA=';
    const stated = async (keys: object, ...names: string[]) =>
      [
        ...((
          await resolve(
            [{ ...module, ...keys }],
            names.map((name) => file(name)),
          )
        ).modules[0]?.files ?? []),
      ].map(({ target, capabilities, dropsAttributes }) => [
        target.slice('/opt/tope/app'.length),
        capabilities,
        dropsAttributes,
      ]);
    assert.equal(await stated({ capabilities: 'cap_net_raw+ep' }, 'modules/app'), [['', netRaw, undefined]]);
    assert.equal(await stated({ xattrs: 'drop' }, 'modules/app'), [['', undefined, true]]);
    const capabilities = { 'bin/ping': 'cap_net_raw=ep', 'bin/*': 'cap_chown+p' };
    assert.equal(
      await stated({ src: 'web', capabilities, xattrs: 'drop' }, 'web/bin/ping', 'web/bin/x', 'web/y'),
      [
        ['/bin/ping', netRaw, true],
        ['/bin/x', 'AAAAAgEAAAAAAAAAAAAAAAAAAAA=', true],
        ['/y', undefined, true],
      ],
    );
  },
);

for (const [src, keys, why] of [
  ['app', { capabilities: 'cap_net_rwa+ep' }, /modules\[0\]\.capabilities: .*"cap_net_rwa" is no capability/],
  ['app', { capabilities: { x: 'cap_chown+p' } }, /capabilities: src is a file; .*write the text/],
  ['web', { capabilities: 'cap_chown+p' }, /capabilities: src is a directory; /],
  ['web', { capabilities: { y: 'cap_chown+p' } }, /capabilities: no file of the package matches "y"/],
  ['web', { capabilities: { '../x': 'cap_chown+p' } }, /must be a pattern below dst/],
  ['web', { capabilities: {} }, /must have a pattern/],
  ['app', { xattrs: 'keep' }, /xattrs: must be "drop"/],
] as const) {
  resolving(`${JSON.stringify(keys)} is refused of ${src}`, async () => {
    const entries = [file('web/x'), file('app')];
    assert.match(await refusal(() => resolve([{ ...module, src, ...keys }], entries)), why);
  });
}

resolving('of several modules the one with the fault is told by its name, too', async () => {
  const web = { name: 'web', src: 'web', dst: '/opt/tope/web' };
  const told = (last: object) => refusal(() => resolve([module, last], [file('modules/app'), file('web/x')]));
  const prefix = 'INVALID_MANIFEST: manifest.json: module "web": modules[1]';
  assert.is(await told({ ...web, src: 'wbe' }), `${prefix}.src: "wbe" is not in the package`);
  assert.ok((await told({ ...web, dst: '/etc/web' })).startsWith(`${prefix}.dst: "/etc/web" is outside the`));
  assert.ok((await told({ ...web, config: true })).startsWith(`${prefix}.config: src is a directory`));
  assert.ok((await told({ ...web, mode: 'rwx' })).startsWith(`${prefix}.mode: `), 'where it is read');
  assert.match(await told({ ...web, name: '' }), /^INVALID_MANIFEST: manifest\.json: modules\[1\]\.name: /);
});

resolving('commands are argument lists; a text is one for the shell', async () => {
  const app = async (keys: object) =>
    (await resolve([{ ...module, ...keys }], [file('modules/app')])).modules[0]?.commands;
  const shell = ['/bin/sh', '-c', 'ldconfig && echo ok'];
  assert.equal(
    await app({ before_start: [['/sbin/ldconfig', '-v'], shell[2]], on_undo: [shell[2]], timeout_s: 1.5 }),
    {
      beforeStart: [['/sbin/ldconfig', '-v'], shell],
      onUndo: [shell],
      timeoutMs: 1500,
    },
  );
  assert.equal(await app({ post_cmds: [shell[2]] }), { beforeStart: [shell], onUndo: [], timeoutMs: 60_000 });
  assert.is(await app({ before_start: [] }), undefined);
});

for (const [keys, why] of [
  [{ before_start: ['x'], post_cmds: ['y'] }, /post_cmds: is another name for before_start/],
  [{ on_undo: ['x'] }, /on_undo: there is no before_start/],
  [{ timeout_s: 5 }, /timeout_s: there is no command/],
  [{ before_start: [['ldconfig']] }, /before_start\[0\]: must start with the absolute path/],
  [{ before_start: [[]] }, /before_start\[0\]: must name a program/],
  [{ before_start: [''] }, /before_start\[0\]: must not be empty/],
  [{ post_cmds: [['/bin/true']] }, /post_cmds\[0\]: /],
  [
    { before_start: Array.from({ length: 17 }, () => 'x') },
    /before_start: must not have more than 16 commands/,
  ],
  [{ before_start: ['x'], timeout_s: 0 }, /timeout_s: /],
] as const) {
  resolving(`commands such as ${JSON.stringify(keys).slice(0, 50)} are refused`, async () => {
    assert.match(await refusal(() => resolve([{ ...module, ...keys }], [file('modules/app')])), why);
  });
}

for (const [src, key, value, why] of [
  ['web', 'config', true, /modules\[0\]\.config: src is a directory; .*patterns/],
  ['app', 'config', ['a'], /modules\[0\]\.config: src is a file; .*write true/],
  ['app', 'keep', ['a'], /modules\[0\]\.keep: src is a file/],
  ['app', 'exact', true, /modules\[0\]\.exact: src is a file/],
] as const) {
  resolving(`${key} is refused where src is a ${src === 'web' ? 'directory' : 'file'}`, async () => {
    const entries = [file('web/x'), file('app')];
    assert.match(await refusal(() => resolve([{ ...module, src, [key]: value }], entries)), why);
  });
}

for (const [pattern, why] of [
  ['/etc/x', /is absolute/],
  ['../x', /".." component/],
  ['', /is empty/],
  ['a/**b', /has "\*\*" beside other characters/],
  ['[ab].cfg', /has "\[", which means nothing here/],
] as const) {
  resolving(`a pattern such as ${JSON.stringify(pattern)} is refused`, async () => {
    for (const key of ['config', 'keep'])
      assert.throws(() => parse({ version: '1.2.3', modules: [{ ...module, [key]: ['ok', pattern] }] }), why);
  });
}

resolving('any version will do when none was asked for', async () => {
  const { manifest } = parse({ version: '9.9.9', modules: [module] });
  const release = await resolveRelease(manifest, [file('modules/app')], {
    ...rules,
    expectedVersion: undefined,
  });
  assert.is(release.version, '9.9.9');
});

const tree = { ...module, src: 'web', config: ['*.cfg', 'etc/*'] };
for (const [what, entries] of [
  ['a file', [file('web/x.cfg'), file('web/x.cfg.new')]],
  ['a file that comes first', [file('web/x.cfg.new'), file('web/x.cfg')]],
  ['an empty directory', [file('web/x.cfg'), folder('web/x.cfg.new')]],
  ['a directory with a file', [file('web/x.cfg.new/a'), file('web/x.cfg')]],
] as const)
  resolving(`${what} where the package's own would be put beside an edited file is refused`, async () => {
    assert.match(
      await refusal(() => resolve([tree], entries)),
      /^INVALID_PACKAGE: "web\/x\.cfg" matches modules\[0\]\.config: .* as "web\/x\.cfg\.new", which is in the package, too/,
    );
  });

resolving('a name that ends with .new is one as any other where nobody edits what it is beside', async () => {
  const entries = ['web/a', 'web/a.new', 'web/x.cfg', 'web/y.cfg.new', 'web/.new', 'web/etc.new'].map(
    (name) => file(name),
  );
  assert.is((await resolve([tree], entries)).modules[0]?.files.length, 6);
  const kept = { ...tree, keep: ['x.*'] };
  assert.is((await resolve([kept], [file('web/x.cfg'), file('web/x.cfg.new')])).modules[0]?.files.length, 2);
});

resolving('so is a module there, beside the file of another', async () => {
  const one = { ...module, config: true };
  const entries = [file('modules/app'), file('b')];
  for (const dst of [`${module.dst}.new`, `${module.dst}.new/b`]) {
    const other = { name: 'b', src: 'b', dst };
    for (const modules of [
      [one, other],
      [other, one],
    ])
      assert.match(
        await refusal(() => resolve(modules, entries)),
        /^INVALID_MANIFEST: .*\.dst: "\/opt\/tope\/app" .* beside it as "\/opt\/tope\/app\.new", where "\/opt\/tope\/app\.new(\/b)?"/,
      );
    assert.is((await resolve([module, other], entries)).modules.length, 2);
  }
});

resolving('the root directory may be an allowed root', async () => {
  const { manifest } = parse({ version: '1.2.3', modules: [{ ...module, dst: '/etc/app' }] });
  const release = await resolveRelease(manifest, [file('modules/app')], { ...rules, allowedRoots: ['/'] });
  assert.is(release.modules[0]?.target, '/etc/app');
});

resolving('a target that contains the work directory is refused', async () => {
  const { manifest } = parse({ version: '1.2.3', modules: [{ ...module, src: 'web', dst: '/srv/a' }] });
  const refused = { ...rules, workDirectory: '/srv/a/b/updater' };
  assert.match(
    await refusal(() => resolveRelease(manifest, [file('web/x')], refused)),
    /contains the updater's work directory/,
  );
});

resolving('the same source for many targets is refused when it adds up to too many files', async () => {
  const entries = Array.from({ length: 1000 }, (_, index) => file(`web/${index}`));
  const modules = Array.from({ length: 130 }, (_, index) => ({
    name: `m${index}`,
    src: 'web',
    dst: `/opt/tope/m${index}`,
  }));
  assert.match(await refusal(() => resolve(modules, entries)), /INVALID_MANIFEST: .*more than 120000 files/);
  assert.is((await resolve(modules.slice(0, 30), entries)).modules.length, 30);
});

resolving('a tree below a target of the longest path is refused', async () => {
  const dst = `/opt/tope/${'d'.repeat(200)}/${'d'.repeat(200)}`;
  const name = `web/${'f'.repeat(200)}${`/${'f'.repeat(200)}`.repeat(3)}`;
  assert.match(
    await refusal(() => resolve([{ ...module, src: 'web', dst }], [file(name)])),
    /longer than 1024 bytes/,
  );
});

resolving.run();
