/** What stands on the devices of the scenarios, and the packages that change it: a few small files each. */
import { createHash } from 'node:crypto';
import type { PackageSpec } from '../fixtures/package-builder.ts';

export const api = '/opt/tope/api/api';
export const voice = '/opt/tope/voice/bin/voice';
export const settings = '/opt/tope/etc/settings.json';

/** `blocks` full 4 KiB blocks and a rest, different in each block, version and path. */
function content(name: string, version: string, blocks = 0): string {
  const line = (block: number) => `${name} ${version} block ${block} `;
  const full = Array.from({ length: blocks }, (_, block) => line(block).repeat(4096).slice(0, 4096));
  return `${full.join('')}${line(blocks)}`;
}

function stored(text: string, mode = 0o755) {
  return { content: text, mode, compress: false };
}

/** Three modules of one file each in three directories, the first a running program with a health check. */
export function threeModules(version: string): PackageSpec {
  return {
    version,
    modules: [
      {
        name: 'api',
        src: 'm/api',
        dst: api,
        process_name: 'api',
        restart_order: 1,
        start: [api],
        health: { exec: ['/bin/check'] },
      },
      { name: 'voice', src: 'm/voice', dst: voice },
      { name: 'settings', src: 'm/settings', dst: settings, mode: '0600' },
    ],
    files: {
      'm/api': stored(content('api', version, 2)),
      'm/voice': stored(content('voice', version)),
      'm/settings': stored(content('settings', version)),
    },
  };
}

/** The same with a set-uid program: its names beside the target are out of others' reach. */
export function setUid(version: string): PackageSpec {
  const { modules, ...rest } = threeModules(version);
  return {
    ...rest,
    modules: modules.map((module) => (module.name === 'voice' ? { ...module, mode: '4755' } : module)),
  };
}

/** The same, where one program goes on with what it had, one gets other capabilities, and the file nothing. */
export function withAttributes(version: string): PackageSpec {
  const { modules, ...rest } = threeModules(version);
  return {
    ...rest,
    modules: modules.map((module) => {
      if (module.name === 'voice') return { ...module, capabilities: 'cap_net_bind_service+ep' };
      return module.name === 'settings' ? { ...module, xattrs: 'drop' } : module;
    }),
  };
}

/** Extended attributes of what stands before: cap_net_raw=ep, and a note. */
const capabilities = { 'security.capability': 'AQAAAgAgAAAAAAAAAAAAAAAAAAA=' };
export const dressed = {
  [api]: { ...capabilities, 'user.origin': 'ZmFjdG9yeQ==' },
  [voice]: capabilities,
  [settings]: { 'user.origin': 'ZmFjdG9yeQ==' },
};

/** The same with two running programs, of which `voice` is stopped first. */
export function twoPrograms(version: string): PackageSpec {
  const { modules, ...rest } = threeModules(version);
  return {
    ...rest,
    modules: modules.map((module) =>
      module.name === 'voice' ? { ...module, process_name: 'voice', start: [voice] } : module,
    ),
  };
}

/** A tree that replaces, adds and leaves out files and directories, beside a single file. */
export function tree(version: string): PackageSpec {
  return {
    version,
    modules: [
      { name: 'web', src: 'web', dst: '/opt/tope/web', exact: true, health: { exec: ['/bin/check'] } },
      { name: 'api', src: 'm/api', dst: api },
    ],
    files: {
      'web/index.html': stored(content('index', version), 0o644),
      'web/js/app.js': stored(content('app', version, 1), 0o644),
      'web/new/deep/page.html': stored(content('page', version), 0o644),
      'm/api': stored(content('api', version)),
    },
  };
}

/** A tree to follow it: it leaves out what that one added, and adds others. */
export function nextTree(version: string): PackageSpec {
  const { files, ...rest } = tree(version);
  const { 'web/new/deep/page.html': _, ...kept } = files ?? {};
  return {
    ...rest,
    files: {
      ...kept,
      'web/js/more.js': stored(content('more', version), 0o644),
      'web/next/deep/page.html': stored(content('page', version), 0o644),
    },
  };
}

function link(to: string) {
  return { content: to, isLink: true, compress: false };
}

/** A tree with a library, its version links, and others that the next one turns into something else. */
export function links(version: string): PackageSpec {
  return {
    version,
    modules: [{ name: 'lib', src: 'lib', dst: '/opt/tope/lib', health: { exec: ['/bin/check'] } }],
    files: {
      'lib/foo.so.1.0': stored(content('foo', version), 0o644),
      'lib/foo.so.1': link('foo.so.1.0'),
      'lib/gone': link('foo.so.1'),
      'lib/plain': stored(content('plain', version), 0o644),
      'lib/turned': link('plain'),
    },
  };
}

/** To follow it: a link leads elsewhere, one goes, one comes, a file becomes one, and one becomes a file. */
export function nextLinks(version: string): PackageSpec {
  return {
    ...links(version),
    files: {
      'lib/foo.so.1.1': stored(content('foo', version), 0o644),
      'lib/foo.so.1': link('foo.so.1.1'),
      'lib/tool': link('foo.so.1'),
      'lib/plain': link('foo.so.1'),
      'lib/turned': stored(content('turned', version), 0o644),
    },
  };
}

/** A tree in which the next one makes a directory of a file and a file of a directory. */
export function turning(version: string): PackageSpec {
  return {
    version,
    modules: [
      { name: 'app', src: 'app', dst: '/opt/tope/app', owner: '7:7', health: { exec: ['/bin/check'] } },
    ],
    files: {
      'app/x': stored(content('x', version), 0o644),
      'app/y/a': stored(content('a', version), 0o644),
      'app/y/sub/b': stored(content('b', version), 0o644),
    },
  };
}

export function turned(version: string): PackageSpec {
  return {
    ...turning(version),
    files: {
      'app/x/a': stored(content('a', version), 0o644),
      'app/x/sub/b': stored(content('b', version), 0o644),
      'app/y': stored(content('y', version), 0o644),
    },
  };
}

/** Two programs and a tree with a symlink in it. */
export function manyModules(version: string): PackageSpec {
  const { modules, files } = twoPrograms(version);
  return {
    version,
    modules: [...modules, { name: 'web', src: 'web', dst: '/opt/tope/web' }],
    files: {
      ...files,
      'web/index.html': stored(content('index', version), 0o644),
      'web/js/app.js': stored(content('app', version), 0o644),
      'web/js/deep/page.html': stored(content('page', version), 0o644),
      'web/latest': link('index.html'),
    },
  };
}

/** Five files that change from version to version in three ways: not at all, a little, and entirely. */
export function mostlyTheSame(version: string): PackageSpec {
  const noise = (name: string, bytes: number) =>
    createHash('shake256', { outputLength: bytes }).update(name).digest();
  // As a program: half of it cannot be compressed, and of two versions a few bytes differ.
  const program = Buffer.concat([noise('program', 4_000), Buffer.from(content('program', 'ever', 1))]);
  program.write(version, 1_000);
  const files = {
    'm/a-same': content('same', 'ever', 1).replaceAll('block', (word, at) => `${word}${at}`),
    'm/b-other': noise(`other ${version}`, 3_000),
    'm/c-program': program,
    'm/d-same': noise('same', 3_000),
    'm/e-other': noise(`another ${version}`, 2_500),
    'm/f-same': content('last', 'ever', 1).replaceAll('block', (word, at) => `${word}${at}`),
  };
  return {
    version,
    modules: Object.keys(files).map((name) => ({ name: name.slice(2), src: name, dst: `/opt/tope/${name}` })),
    files: Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, { content: text, mode: 0o755 }]),
    ),
  };
}

/** To follow it: the first program alone is left. */
export function leaving(version: string): PackageSpec {
  const { modules, files } = threeModules(version);
  return {
    version,
    modules: modules.filter(({ name }) => name === 'api'),
    files: { 'm/api': files['m/api'] ?? '' },
    manifest: { remove: ['voice'], complete: true },
  };
}

/** Of what stands on a device before any update. */
export const versionBefore = '1.0.0';

export const before = {
  [api]: content('api', versionBefore, 1),
  [voice]: content('voice', versionBefore),
  [settings]: content('settings', versionBefore),
};

export const beforeTree = {
  [api]: content('api', versionBefore, 1),
  '/opt/tope/web/index.html': content('index', versionBefore),
  '/opt/tope/web/js/app.js': content('app', versionBefore),
  '/opt/tope/web/js/gone.js': content('gone', versionBefore),
  '/opt/tope/web/old/deep/gone.html': content('gone', versionBefore, 1),
};

export const newDirectories = (version: string): PackageSpec => ({
  version,
  modules: [
    { name: 'tool', src: 'm/tool', dst: '/opt/tope/tools/bin/tool' },
    { name: 'data', src: 'data', dst: '/opt/tope/share/data' },
  ],
  files: {
    'm/tool': stored(content('tool', version, 1)),
    'data/one': stored(content('one', version)),
    'data/sub/two': stored(content('two', version)),
  },
});
