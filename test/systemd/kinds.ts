/** Kinds of units for the table: every one a program that says its version while it runs, and a unit file of its own. */

export interface Kind {
  readonly name: string;
  /** Unit files of it beside the service, by name. */
  readonly units: Readonly<Record<string, string>>;
  /** The unit that the manifest names. */
  readonly unit: string;
  /** Set up before the first update: enabled, started, masked, ... */
  readonly prepare: readonly string[];
  /** Further keys of its module. */
  readonly keys?: Readonly<Record<string, unknown>>;
  /** Programs that answer with the version afterwards, by name; `0`: it stays down. */
  readonly runs: Readonly<Record<string, number>>;
  /** Units that are active afterwards. */
  readonly active: readonly string[];
}

/** A program that notes `NAME.PID` with its version, and then becomes `sleep`. */
export function programText(version: string, extra = ''): string {
  return [
    '#!/bin/sh',
    `# version ${version}`,
    'mkdir -p /run/v',
    'if [ "$2" = fork ]; then "$0" "$1" & echo $! >"/run/$1.pid"; exit 0; fi',
    extra,
    `echo ${version} >"/run/v/$1.$$"`,
    '[ "$2" != notify ] || systemd-notify --ready',
    '[ "$2" != once ] || exit 0',
    // The sleep ignores SIGTERM: systemd goes through a control group until it finds nobody new in it.
    `[ "$2" != slow ] || { trap 'trap "" TERM; sleep 100; exit 0' TERM; while :; do sleep 0.2; done; }`,
    'exec sleep 100000',
    '',
  ].join('\n');
}

export const pathOf = (name: string) => `/opt/tope/k/${name}/run`;

function service(name: string, lines: readonly string[], argument = ''): string {
  const start = lines.some((line) => line.startsWith('ExecStart='))
    ? []
    : [`ExecStart=${pathOf(name)} ${name} ${argument}`];
  return [
    '[Unit]',
    ...lines.filter(isOfUnit),
    '[Service]',
    ...lines.filter((line) => !isOfUnit(line)),
    ...start,
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
}

const isOfUnit = (line: string) => /^(Requires|BindsTo|PartOf|After|StartLimit)/.test(line);

const types: readonly (readonly [string, readonly string[], string])[] = [
  ['simple', ['Type=simple'], ''],
  ['exec', ['Type=exec'], ''],
  ['forking', ['Type=forking'], 'fork'],
  ['notify', ['Type=notify', 'NotifyAccess=all'], 'notify'],
  ['oneshot', ['Type=oneshot', 'RemainAfterExit=yes'], 'once'],
];

/** Every Type with every Restart and every KillMode. */
function combinations(): Kind[] {
  return types.flatMap(([type, lines, argument]) =>
    ['always', 'on-failure', 'no'].flatMap((restart) =>
      ['control-group', 'mixed', 'process'].flatMap((killMode): Kind[] => {
        if (type === 'oneshot' && restart !== 'no') return [];
        const name = `${type}-${restart}-${killMode}`;
        const all = [
          ...lines,
          `Restart=${restart}`,
          `KillMode=${killMode}`,
          ...(type === 'forking' ? [`PIDFile=/run/${name}.pid`] : []),
        ];
        return [
          {
            name,
            units: { [`${name}.service`]: service(name, all, argument) },
            unit: `${name}.service`,
            prepare: [`systemctl enable -q --now ${name}`],
            runs: { [name]: type === 'oneshot' ? 0 : 1 },
            active: [`${name}.service`],
          },
        ];
      }),
    ),
  );
}

const started = (name: string, more: Partial<Kind> = {}): Kind => ({
  name,
  units: { [`${name}.service`]: service(name, ['Type=simple']) },
  unit: `${name}.service`,
  prepare: [`systemctl enable -q --now ${name}`],
  runs: { [name]: 1 },
  active: [`${name}.service`],
  ...more,
});

const other = (name: string, lines: readonly string[]) =>
  [
    '[Unit]',
    ...lines,
    '[Service]',
    `ExecStart=/bin/sh -c 'mkdir -p /run/v; echo dependent >/run/v/${name}.$$$$; exec sleep 100000'`,
    '',
  ].join('\n');

export const kinds: readonly Kind[] = [
  ...combinations(),
  ...(['Requires', 'BindsTo', 'PartOf'] as const).map((how): Kind => {
    const name = `base-${how.toLowerCase()}`;
    const dependent = `on-${name}`;
    return started(name, {
      units: {
        [`${name}.service`]: service(name, ['Type=simple']),
        [`${dependent}.service`]: other(dependent, [`${how}=${name}.service`, `After=${name}.service`]),
      },
      prepare: [`systemctl enable -q --now ${name}`, `systemctl start ${dependent}`],
      runs: { [name]: 1, [dependent]: 1 },
      active: [`${name}.service`, `${dependent}.service`],
    });
  }),
  started('by-socket', {
    units: {
      'by-socket.service': service('by-socket', ['Type=simple']),
      'by-socket.socket': '[Socket]\nListenStream=/run/by-socket.sock\n[Install]\nWantedBy=sockets.target\n',
    },
    prepare: ['systemctl enable -q --now by-socket.socket', 'systemctl start by-socket.service'],
    active: ['by-socket.socket', 'by-socket.service'],
  }),
  started('by-timer', {
    units: {
      'by-timer.service': service('by-timer', ['Type=simple']),
      'by-timer.timer': '[Timer]\nOnCalendar=2099-01-01\n[Install]\nWantedBy=timers.target\n',
    },
    prepare: ['systemctl enable -q --now by-timer.timer'],
    runs: { 'by-timer': 0 },
    active: ['by-timer.timer'],
  }),
  started('by-path', {
    units: {
      'by-path.service': service('by-path', ['Type=simple']),
      'by-path.path': '[Path]\nPathExists=/run/by-path-wanted\n[Install]\nWantedBy=paths.target\n',
    },
    prepare: ['systemctl enable -q --now by-path.path'],
    runs: { 'by-path': 0 },
    active: ['by-path.path'],
  }),
  started('template', {
    units: { 'template@.service': service('template', ['Type=simple']) },
    unit: 'template@1.service',
    prepare: ['systemctl enable -q --now template@1'],
    active: ['template@1.service'],
  }),
  started('disabled', { prepare: ['systemctl start disabled'] }),
  started('stopped', { prepare: [], runs: { stopped: 0 }, active: [] }),
  started('masked', { units: {}, prepare: ['systemctl mask -q masked'], runs: { masked: 0 }, active: [] }),
  started('absent', { units: {}, prepare: [], runs: { absent: 0 }, active: [] }),
  started('limited', {
    units: {
      'limited.service': service('limited', [
        'StartLimitIntervalSec=3600',
        'StartLimitBurst=3',
        'Restart=always',
        'RestartSec=100ms',
      ]),
    },
  }),
];
