/** The folder that `init` writes: a manifest that explains itself, what it deploys, and what to do next. It can be packed as it is. Pure. */

import { configFiles, pythonFiles, type StarterFile, webFiles } from './starter-kinds.ts';

export const starterKinds = ['service', 'web', 'python', 'config'] as const;
export type StarterKind = (typeof starterKinds)[number];

/** Where the starters' files go on a device that was told nothing else. */
export const usualRoot = '/opt/tope';

/** Every file of the starter folder; `root`: where its files go on the device, an absolute path of plain characters. */
export function starterFiles(kind: StarterKind, root: string = usualRoot): readonly StarterFile[] {
  const next: StarterFile = { path: 'README.md', mode: 0o644, text: readme(root) };
  return [...filesOf(kind).map((file) => ({ ...file, text: file.text.replaceAll(usualRoot, root) })), next];
}

function filesOf(kind: StarterKind): readonly StarterFile[] {
  switch (kind) {
    case 'service':
      return serviceFiles;
    case 'web':
      return webFiles;
    case 'python':
      return pythonFiles;
    case 'config':
      return configFiles;
    default:
      return kind satisfies never;
  }
}

const manifest = `{
  // The version of the whole package (semver.org). POST /download and POST /update name it.
  "version": "1.0.0",

  // Each module replaces one file or one folder of the device. "src" is below this folder, "dst" is on the device, inside
  // a directory that the device allows (/opt/tope unless it was told otherwise). Sizes and digests are filled in by pack.
  "modules": [
    {
      "name": "hello",
      "src": "modules/hello/hello",
      "dst": "/opt/tope/hello/hello",

      // The process that runs this file: it is stopped before the switch and started again after it, with the arguments it
      // had. A systemd unit is named instead with "service": "hello.service".
      "process_name": "hello",

      // How to start it where it does not run yet, as on the first install: the program by its absolute path, and its arguments.
      "start": ["/opt/tope/hello/hello"],

      // Lower numbers are started first; modules without one come last.
      "restart_order": 1

      // After the start: what must answer within timeout_s, or everything is put back as it was. One of
      //   "health": { "http": "http://127.0.0.1:8080/healthz", "timeout_s": 30 }
      //   "health": { "tcp": 8080 }
      //   "health": { "exec": ["/opt/tope/hello/hello", "--check"] }
    },
    {
      // A "src" that is a folder: the whole folder is deployed, and what an earlier version had in it and this one has not, goes.
      "name": "hello-data",
      "src": "modules/hello-data",
      "dst": "/opt/tope/hello-data"
    }
  ]

  // Also known here: "compatible": ["printer-x1"] (device types), "min_version": "0.9.0" (what must be installed before),
  // "reboot": true (reboots after the switch). The whole list: docs/package-format.md.
}
`;

const hello = `#!/bin/sh
# An example service: says hello every ten seconds.
while :; do
  cat /opt/tope/hello-data/greeting.txt
  sleep 10
done
`;

const serviceFiles: readonly StarterFile[] = [
  { path: 'manifest.json', mode: 0o644, text: manifest },
  { path: 'modules/hello/hello', mode: 0o755, text: hello },
  { path: 'modules/hello-data/greeting.txt', mode: 0o644, text: 'Hello from version 1.0.0\n' },
];

function readme(root: string): string {
  const allowed = root === usualRoot ? '' : ` --allow-root ${root}`;
  const lines = [
    [`pack . -o ../package-1.0.0.zip${allowed}`, 'makes the package, prints the request for devices'],
    [`verify ../package-1.0.0.zip${allowed}`, 'what it would deploy where'],
    ['install ../package-1.0.0.zip', 'on the device: installs it'],
    ['rollback', 'on the device: takes it back'],
  ].map(([command = '', what]) => `    tope-updater ${command.padEnd(38 + allowed.length)}  ${what}`);
  return `# A package for tope-updater

${lines.join('\n')}
${allowed === '' ? '' : `\nThe daemon has to allow the place: \`tope-updater run${allowed}\`.\n`}
Only manifest.json and what its modules name goes into the package; this file does not. The manifest may have // comments,
they are left out of the package.

Signed packages: make a key pair once with \`minisign -G -p minisign.pub -s minisign.key\`, keep minisign.key off the devices
and out of this folder, pack with \`--sign minisign.key\`, and start the daemon with \`--trust-key minisign.pub\`.
`;
}
