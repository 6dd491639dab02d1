/** The commands of a device: the daemon, and those that talk to it or look after it. Part of commands.ts; pure. */
import { type Option, options } from '../config.ts';
import { type CommandSpec, configOfDaemon, connection, type FlagSpec, flag, json } from './command-spec.ts';
import { usualWorkDirectory } from './target-rules.ts';

const configFile: FlagSpec = {
  ...configOfDaemon,
  doc: 'JSON file with the same settings; flags win over it',
};
const yes: FlagSpec = flag('yes', 'does not ask', { short: 'y' });

/** Of `install --root`: what the daemon of the device will be told. */
export const imageFlags: readonly FlagSpec[] = [
  { ...configFile, doc: "with --root: the device's configuration file, as it lies on this machine" },
  { ...options.dir, initial: usualWorkDirectory, doc: 'with --root: work directory on the device' },
  { ...options.allow_root, doc: 'with --root: directory of the device that packages may write below' },
  { ...options.device_type, doc: 'with --root: what the device is' },
  { ...options.trusted_keys, doc: 'with --root: minisign public key the package must be signed with' },
  flag('skip-commands', 'with --root: also a package with before_start, which does not run'),
];

export const deviceCommands = {
  run: {
    summary: 'the daemon: serves the API, downloads and installs updates',
    about:
      'Runs in the foreground until SIGTERM or SIGINT; normally systemd starts it. Every flag can be a key of the ' +
      'configuration file as well (docs/configuration.md).',
    flags: [...Object.values<Option>(options), configFile],
    examples: [
      ['run --dir /var/lib/tope-updater', 'keeps state, downloads, logs and backups there'],
      ['run --allow-root /opt/tope --allow-root /etc/tope', 'packages may write below both'],
    ],
  },
  recover: {
    summary: 'at boot, before the services: makes the files of an update that was cut whole',
    about:
      'Finishes or takes back a switch of files that a power cut ended, so that nothing starts on half of an update; the ' +
      'daemon goes on from there. tope-updater-recover.service and the init script call it. Takes the flags of `run`, of ' +
      'which it needs dir and config only.',
    flags: [...Object.values<Option>(options), configFile],
    examples: [['recover --dir /var/lib/tope-updater', 'nothing to do on most boots: it ends at once']],
  },
  status: {
    summary: 'what the daemon does right now',
    about:
      'Prints stage, progress and error, and which version is installed, with that of each module. Exits with 1 if the ' +
      'last update failed. With --watch it goes on until Ctrl-C: one live line on a terminal, a line for each change in a ' +
      'pipe. If no daemon answers it exits with 3, and still prints what is installed if it can read the work directory.',
    flags: [
      flag('watch', 'goes on, and shows every change', { short: 'w' }),
      json,
      ...connection,
      { ...options.dir, doc: 'work directory to read if no daemon answers', initial: usualWorkDirectory },
      { ...configOfDaemon, doc: 'configuration file of the daemon, likewise' },
    ],
    examples: [
      ['status', 'what it does, and what is installed'],
      ['status --watch', 'a live progress bar'],
      ['status --json | jq -r .stage', 'for scripts'],
    ],
  },
  install: {
    summary: 'installs a package from a file or from a URL',
    operand: 'FILE|URL',
    about:
      'Hands the package to the daemon and follows it to the end; every check of an update from the network is made. ' +
      'A file (on a USB stick, say) needs no network: it is served to the daemon over the loopback interface. Of a URL, ' +
      'what the flags do not tell is read from the package, for which the server must answer ranges. On a terminal it asks first; elsewhere ' +
      '--yes is needed. Ctrl-C during the download cancels it; an install that has begun goes on in the daemon. With ' +
      '--root it makes the image of a device instead (docs/factory-images.md): no daemon, no question.',
    flags: [
      yes,
      flag('root DIR', 'installs a file into this tree of a device, not on this machine'),
      flag('release X.Y.Z', 'version of the package; read from it when not given'),
      flag('allow-downgrade', 'also a version lower than the installed one'),
      flag('md5 HEX', 'MD5 of a package at a URL'),
      flag('sha256 HEX', 'SHA-256 of a package at a URL'),
      flag('size BYTES', 'size of a package at a URL', { kind: 'number' }),
      json,
      ...connection,
      ...imageFlags,
    ],
    examples: [
      ['install --root build/rootfs printer-1.0.0.zip', 'into the image of a device'],
      ['install /media/usb/printer-2.0.0.zip', 'shows what it is, asks, installs'],
      ['install --yes https://store.example/printer-2.0.0.zip', 'from the network, without a question'],
    ],
  },
  rollback: {
    summary: 'puts back what was there before the last update',
    operand: '[VERSION]',
    about:
      'Reinstates the backups of the last update, or of the update to VERSION and all that came after it, and follows ' +
      'it to the end. On a terminal it asks first; elsewhere --yes is needed.',
    flags: [yes, json, ...connection],
    examples: [
      ['rollback', 'takes the last update back'],
      ['rollback --yes 2.0.0', 'takes 2.0.0 and everything after it back'],
    ],
  },
  cancel: {
    summary: 'stops a download, or discards a package that waits',
    about: 'What was downloaded is kept for the next try. An install that switches files is not stopped.',
    flags: [json, ...connection],
    examples: [['cancel', 'back to idle']],
  },
  history: {
    summary: 'past updates and rollbacks, newest first',
    about: 'Prints when, what, to which version, how long it took and how it ended.',
    flags: [json, ...connection],
    examples: [
      ['history', 'a table'],
      ['history --json | jq -r .version', 'for scripts: one object a line'],
    ],
  },
  audit: {
    summary: 'compares the deployed files with what was installed, and restores them',
    about:
      'Reads every file that the last updates deployed and tells which rotted, were edited, or are gone: content, size, ' +
      'mode and owner. Exits with 4 if there are some. With --repair it restores what can be, as one transaction, and ' +
      'restarts the services of the modules concerned: from a backup with the same bytes, or from the package if the ' +
      'daemon keeps it (run --keep-package); what neither has is told. On a terminal it asks first; elsewhere --yes is ' +
      'needed. The daemon can do the check by itself (run --audit-interval).',
    flags: [flag('repair', 'restores what differs'), yes, json, ...connection],
    examples: [
      ['audit', 'what has changed'],
      ['audit --repair --yes', 'and puts it right, without a question'],
      ['audit --json | jq -r .findings[].path', 'for scripts: the report as one object'],
    ],
  },
  fleet: {
    summary: 'what the server of the fleet wants of this device',
    operand: '[poll|confirm|decline]',
    about:
      'Prints whether the server (hawkBit) answers, what it has ordered, whom that waits for, and how the last order ended. ' +
      'With poll the server is asked now; with confirm or decline its question is answered, or an order that waits for ' +
      'consent. Exits with 1 if the server did not answer the last poll.',
    flags: [json, ...connection],
    examples: [
      ['fleet', 'where things stand'],
      ['fleet poll', 'does not wait for the next poll'],
      ['fleet confirm', 'says yes to the version that waits'],
    ],
  },
  doctor: {
    summary: 'looks for what could keep updates from working, and says what to do',
    about:
      'Checks the daemon, its service, work directory, free space, allowed roots, device-api, clock, keys and the fleet: each ok, ' +
      'warn or fail. It takes the settings of the daemon that runs on this machine, and else those given with the flags ' +
      'of run. Exits with 1 if something fails. Changes nothing.',
    flags: [
      json,
      ...connection.filter(({ flag }) => flag === 'url'),
      ...Object.values<Option>(options).filter(({ flag }) =>
        ['dir', 'socket', 'token-file', 'report-url', 'allow-root', 'trust-key'].includes(flag),
      ),
      configOfDaemon,
    ],
    examples: [
      ['doctor', 'on the device, as root'],
      ['doctor --config /etc/tope-updater.json', 'if no daemon runs'],
    ],
  },
  support: {
    summary: 'writes one file with all that support needs, and no secrets',
    about:
      'Collects logs, state, history, versions, configuration and the list of files of the work directory. Query ' +
      'strings and passwords of URLs, tokens and signatures are left out. Takes the settings of the daemon that runs ' +
      'on this machine, and else those given with the flags of run; works without a daemon, and changes nothing.',
    flags: [
      flag(
        'output FILE',
        'the bundle; tope-updater-support-TIME.tar.gz in the current folder when not given',
        { short: 'o' },
      ),
      ...Object.values<Option>(options).filter(({ flag }) => ['dir', 'token-file'].includes(flag)),
      configOfDaemon,
    ],
    examples: [['support -o bundle.tar.gz', 'on the device, as root']],
  },
} as const satisfies Record<string, CommandSpec>;
