/** The commands of those who make packages; they need no device. Part of commands.ts; pure. */
import { configFlag, options } from '../config.ts';
import { type CommandSpec, type FlagSpec, flag, json } from './command-spec.ts';

const allowRoot: FlagSpec = {
  ...options.allow_root,
  argument: 'DIR',
  doc: 'directory that the devices let packages write below; what is given replaces the default, so name /opt/tope, too, if modules go there',
};
const trustKey: FlagSpec = {
  ...options.trusted_keys,
  doc: 'minisign public key: the package must be signed with it',
};

export const packagingCommands = {
  pack: {
    summary: 'makes a package of a folder',
    operand: 'DIR|manifest.json',
    about:
      'Packs manifest.json and the files that its modules name. Fills in sizes, MD5 and SHA-256, keeps modes, and checks ' +
      'the result with the reader of the device. The same folder gives the same bytes. Prints the JSON body for POST ' +
      '/download. The manifest in the folder may have // comments.',
    flags: [
      flag('output FILE', 'the package; DIR-VERSION.zip in the current folder when not given', {
        short: 'o',
      }),
      flag(
        'sign KEY',
        'signs with a minisign secret key file; its password is asked for, or read from stdin',
      ),
      flag(
        'package-url URL',
        'where the package will be found, for the JSON; one that ends with / gets the name appended',
      ),
      flag(
        'self DIST',
        'puts the updater in, too: the tope-updater-ARCH of a release that are in this folder',
      ),
      flag('store', 'does not compress'),
      flag(
        'delta-from FILE',
        'adds patches for devices that have this older package; takes about a second for each MB',
        { kind: 'list' },
      ),
      allowRoot,
    ],
    examples: [
      ['pack printer -o printer-2.0.0.zip', 'the package'],
      [
        'pack printer --sign minisign.key --package-url https://store.example/ > request.json',
        'signed, with the request for devices',
      ],
      ['pack printer --self dist --sign minisign.key', 'with the updater for each architecture'],
    ],
  },
  verify: {
    summary: 'what a package would deploy where, and whether a device would take it',
    operand: 'PACKAGE.zip',
    about:
      'Reads the whole package with the reader and the rules of the device; needs no device. Exits with 1 if it ' +
      'would be refused. On a device, --on-device tells what would be replaced, kept, put beside, removed, run and restarted ' +
      'there, by the settings and records of its daemon; it needs root to read them, and changes nothing.',
    flags: [
      flag('on-device', 'also tells what it would do on this device'),
      {
        ...options.dir,
        doc: "with --on-device: the work directory, in place of the running daemon's settings",
      },
      {
        flag: configFlag,
        kind: 'text',
        argument: 'FILE',
        doc: 'with --on-device: the configuration file, likewise',
      },
      flag(
        'against FILE|DIR',
        'an older package, or its folder: tells what a device that has it would download',
      ),
      trustKey,
      allowRoot,
      json,
    ],
    examples: [
      ['verify printer-2.0.0.zip', 'modules, files, problems'],
      ['verify printer-2.0.0.zip --against printer-1.9.0.zip', 'and how much of it a device would download'],
      ['verify --on-device /media/usb/printer-2.0.0.zip', 'what it would do here'],
      ['verify --trust-key minisign.pub printer-2.0.0.zip', 'and the signature'],
    ],
  },
  init: {
    summary: 'makes a folder to pack: a commented manifest and what it deploys',
    operand: 'DIR',
    about: 'Writes into a new or an empty folder only. What it writes can be packed as it is.',
    flags: [
      flag('kind KIND', 'service (when not given), web, python or config'),
      flag(
        'dst DIR',
        'where its files go on the device (when not given: /opt/tope); a daemon takes them with --allow-root DIR',
      ),
    ],
    examples: [
      ['init printer', 'then: tope-updater pack printer'],
      ['init --kind web site', 'a web folder with uploads that stay'],
    ],
  },
} as const satisfies Record<string, CommandSpec>;
