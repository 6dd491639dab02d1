/**
 * Writes docs/limits.md from src/limits.ts: every bound that somebody who packs, integrates or operates can meet.
 *
 * Usage: tsx build/limits-page.ts
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { limits } from '../src/limits.ts';

type Name = keyof typeof limits;
type Row = readonly [what: string, limit: Name, beyond: string];

/** Headings, and under each what is bounded, by what, and what happens beyond it. */
const parts: readonly (readonly [heading: string, rows: readonly Row[]])[] = [
  [
    'A package',
    [
      ['`manifest.json`', 'manifestBytes', '`INVALID_MANIFEST`'],
      ['`files.json`', 'filesListBytes', '`INVALID_MANIFEST`'],
      ['the signature', 'signatureBytes', '`SIGNATURE_INVALID`'],
      ['modules', 'modules', '`INVALID_MANIFEST`'],
      ['release notes, all languages together', 'notesBytes', '`INVALID_MANIFEST`'],
      ['patterns of `config` and of `keep` in a module', 'modulePatterns', '`INVALID_MANIFEST`'],
      ['commands in `before_start` and in `on_undo` of a module', 'moduleCommands', '`INVALID_MANIFEST`'],
      ['files of a package', 'packageFiles', '`INVALID_PACKAGE`'],
      ['entries of the ZIP', 'archiveEntries', '`INVALID_PACKAGE`'],
      ['the directory of the ZIP', 'archiveDirectoryBytes', '`INVALID_PACKAGE`'],
      ['all files unpacked', 'unpackedBytes', '`INVALID_PACKAGE`'],
      ['unpacked to packed size of an entry', 'inflateRatio', '`INVALID_PACKAGE`'],
      ['a path', 'pathBytes', 'refused'],
      ['a name in a path', 'nameBytes', 'refused'],
      ['directories in each other', 'pathDepth', 'refused'],
    ],
  ],
  [
    'A download',
    [
      ['time without a byte', 'downloadStallMs', 'counts as a failure'],
      [
        'waits before each retry without progress',
        'downloadBackoffMs',
        '`DOWNLOAD_FAILED`; the bytes are kept',
      ],
      ['`Retry-After` that is honoured', 'retryAfterMaxMs', 'counts as a failure'],
      ['redirects in a row', 'redirects', '`DOWNLOAD_FAILED`'],
      ['starts from byte 0', 'downloadStartOvers', '`DOWNLOAD_FAILED`'],
      ['wait for a network after a start (`download_wait_s`)', 'networkWaitMs', '`DOWNLOAD_FAILED`'],
      ['smallest package whose parts are looked for on the device', 'adaptiveLeastBytes', 'fetched whole'],
      ['age of a verified package', 'packageAgeMs', '`PACKAGE_EXPIRED`'],
    ],
  ],
  [
    'An install',
    [
      [
        "time for one of the module's commands, unless `timeout_s`",
        'commandTimeoutMs',
        'the update is undone',
      ],
      ['output of a command in the log', 'commandLogBytes', 'counted'],
      ['extended attributes that go over, of one file', 'attributeBytes', 'left, with a warning'],
      ['the same of all files', 'attributesBytes', 'left, with a warning'],
      ['time for a process to end after SIGTERM', 'processTermMs', 'SIGKILL'],
      ['time for it to end after SIGKILL', 'processKillMs', '`PROCESS_KILL_FAILED`'],
      ['time that a started service must live', 'serviceSettleMs', '`SERVICE_START_FAILED`'],
      ['time for it to take the name of `process_name`', 'processNameMs', '`SERVICE_START_FAILED`'],
      ['time for systemctl to start or stop a unit', 'serviceCommandMs', '`SERVICE_START_FAILED`'],
      [
        'processes of one service that are started again',
        'capturedProcesses',
        'the rest is left to the service',
      ],
      ['environment of a process that is started again', 'capturedEnvironmentBytes', 'cut, with a warning'],
      [
        'arguments of a process that is started again',
        'capturedArgumentsBytes',
        'it is not, with a warning; `start` says how',
      ],
      ['time for a health check, unless `timeout_s`', 'healthTimeoutMs', '`HEALTH_CHECK_FAILED`'],
      ['one try of a health check', 'healthTryMs', 'the next try'],
      ['time for a restart of the machine', 'rebootMs', 'the update is undone'],
      ['starts that find the same unfinished install', 'installStarts', 'the last of them undoes it'],
      ['room left free on each filesystem', 'reserveBytes', '`DISK_FULL`'],
      ['owners that hold updates at a time', 'holds', '`OPERATION_IN_PROGRESS`'],
      ['the longest hold', 'holdMs', '`VALIDATION_ERROR`'],
    ],
  ],
  [
    'The API',
    [
      ['body of a request', 'requestBodyBytes', 'HTTP 413'],
      ['headers of a request', 'requestHeaderBytes', 'HTTP 431'],
      ['time for the headers', 'requestHeadersMs', 'HTTP 408'],
      ['time for a whole request', 'requestMs', 'HTTP 408'],
      ['connections that have sent a request', 'connections', 'the longest idle one is closed'],
      ['connections that have said nothing yet', 'newcomers', 'the oldest is closed'],
      ['time without a word on a connection', 'connectionIdleMs', 'it is closed'],
      ['streams of `GET /events`', 'eventStreams', 'HTTP 503'],
      [
        'part of the event loop that requests get during an update',
        'apiShare',
        'the next request of that client waits',
      ],
    ],
  ],
  [
    'Reports to device-api',
    [
      ['time for an answer', 'reportTimeoutMs', 'the report is given up'],
      ['step of a download that is reported, in per cent', 'reportProgressPercent', ''],
      ['changes of stage that wait', 'reportQueue', 'the oldest are dropped, the last never'],
      ['waits before the last stage is sent again', 'reportRetryMs', 'the last one for ever'],
    ],
  ],
  [
    'What is kept',
    [
      ['updates that can be rolled back', 'updatesKept', 'the oldest backups go'],
      ['entries of the history', 'historyEntries', 'the oldest go'],
      ['a log file', 'logFileBytes', 'the next one is begun'],
      ['log files', 'logFiles', 'the oldest goes'],
      ['a log line, in characters', 'logLineChars', 'cut'],
      ["the log of a program's output", 'outputFileBytes', 'begun anew'],
      ['room kept for a rollback on a full disk', 'rollbackReserveBytes', ''],
      ['files named by an audit', 'auditFindings', 'counted'],
      ['bytes that an audit by itself reads in a second', 'auditBytesPerSecond', ''],
    ],
  ],
  [
    'A fleet',
    [
      ['polls: least often', 'fleetSleepMostMs', ''],
      ['polls: most often', 'fleetSleepLeastMs', ''],
      ['time for an answer', 'fleetTimeoutMs', 'the poll failed'],
      ['an answer', 'fleetAnswerBytes', 'the poll failed'],
      ['tries of a download that bring no byte', 'fleetTries', 'the order has failed'],
      ['time for a download', 'fleetBudgetMs', 'the order has failed'],
      ['failed installs of one package in a day', 'fleetFailures', 'not tried again that day'],
      ['attributes', 'fleetAttributes', 'refused at the start'],
    ],
  ],
];

export function limitsPage(): string {
  const tables = parts.map(([heading, rows]) => {
    const lines = rows.map(([what, name, beyond]) => `| ${what} | ${valueText(name)} | ${beyond} |`);
    return `## ${heading}\n\n| what | limit | beyond it |\n|---|---|---|\n${lines.join('\n')}\n`;
  });
  return `# Limits

Every number that a package, a request or a device can meet. They are fixed, where no option is named; the reason of each stands beside it in
\`src/limits.ts\`.

${tables.join('\n')}
<!-- Made by build/limits-page.ts from src/limits.ts. -->
`;
}

function valueText(name: Name): string {
  const value: number | readonly number[] = limits[name];
  if (typeof value !== 'number') return `${value.map((each) => each / 1000).join(', ')} s`;
  if (name.endsWith('Ms')) return timeText(value);
  if (name.endsWith('Bytes') || name === 'auditBytesPerSecond') return sizeText(value);
  if (name.endsWith('Percent')) return `${value} %`;
  if (name.endsWith('Share')) return `${value * 100} %`;
  return String(value);
}

function timeText(ms: number): string {
  const units = [
    ['days', 86_400_000],
    ['hours', 3_600_000],
    ['minutes', 60_000],
    ['s', 1_000],
  ] as const;
  const [name, size] = units.find(([, length]) => ms % length === 0 && ms / length > 1) ?? ['ms', 1];
  return ms === 1_000 ? '1 s' : `${ms / size} ${name}`;
}

function sizeText(bytes: number): string {
  const units = [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const;
  const [name, size] = units.find(([, length]) => bytes % length === 0) ?? ['bytes', 1];
  return `${bytes / size} ${name}`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  writeFileSync(join(import.meta.dirname, '../docs/limits.md'), limitsPage());
