/** Reading /proc: names as programs choose them, both cgroup layouts, and text made to mislead. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  commandName,
  hasLostCommand,
  isNamed,
  owningUnit,
  parseCmdline,
  parseEnviron,
  parseStat,
  parseStatusOwner,
  scriptBeside,
  withoutDeleted,
} from '../../src/services/proc-text.ts';

const test = suite('proc-text');

const stat = (pidAndName: string, state: string, flags = 4194304) =>
  `${pidAndName} ${state} 6034 6034 3105 0 -1 ${flags} 131 0 0 0 0 0 0 0 20 0 1 0 216165 2990080 421 184467440\n`;

test('stat: name, parent, start time, also of a name full of spaces and parentheses', () => {
  const facts = { parentPid: 6034, isZombie: false, isKernelThread: false, startTime: '216165', nice: 0 };
  assert.equal(parseStat(stat('6045 (device-api)', 'S')), { comm: 'device-api', ...facts });
  assert.equal(parseStat(stat('6045 (a) Z 1 (b c)', 'R')), { comm: 'a) Z 1 (b c', ...facts });
  assert.equal(parseStat(stat('6045 ()', 'R')), { comm: '', ...facts });
});

test('stat: zombies and kernel threads are known', () => {
  assert.is(parseStat(stat('7 (x)', 'Z'))?.isZombie, true);
  assert.is(parseStat(stat('7 (x)', 'X'))?.isZombie, true);
  // Its main thread has ended, others go on.
  assert.is(parseStat(stat('7 (x)', 'Z').replace(' 20 0 1 0 ', ' 20 0 3 0 '))?.isZombie, false);
  assert.is(parseStat(stat('7 (kworker/0:1)', 'I', 69238880))?.isKernelThread, true);
});

test('stat: what is not a stat line is undefined, never an error', () => {
  for (const text of ['', '(', ')', ')(', '1 (x)', '1 (x) S', '1 (x) S a b', '\0\0', 'x'.repeat(10_000)]) {
    assert.is(parseStat(text), undefined);
  }
});

test('cmdline: arguments are kept whole, empty ones too', () => {
  assert.equal(parseCmdline(''), []);
  assert.equal(parseCmdline('/bin/x\0-a b\0\0c\0'), ['/bin/x', '-a b', '', 'c']);
  assert.equal(parseCmdline('nginx: master process'), ['nginx: master process']);
});

test('environ: values may hold anything but NUL, entries without a name are left out', () => {
  assert.equal(parseEnviron('A=1\0B=x=y\n z\0=bad\0worse\0C=\0'), { A: '1', B: 'x=y\n z', C: '' });
  assert.equal(Object.keys(parseEnviron('__proto__=x\0')), ['__proto__']);
});

test('status: real ids and all supplementary groups', () => {
  const text =
    'Name:\tklippy\nUid:\t1000\t0\t0\t0\nGid:\t1001\t0\t0\t0\nGroups:\t5 20 1001 \nVmPeak:\t1 kB\n';
  assert.equal(parseStatusOwner(text), { uid: 1000, gid: 1001, groups: [5, 20, 1001] });
  assert.equal(parseStatusOwner('Uid:\t0\nGid:\t0\nGroups:\t \n'), { uid: 0, gid: 0, groups: [] });
  assert.is(parseStatusOwner('Name: x'), undefined);
});

const cgroups: [name: string, text: string, unit: string | undefined][] = [
  ['v2', '0::/system.slice/device-api.service\n', 'device-api.service'],
  ['v1', '3:cpu:/\n1:name=systemd:/system.slice/klipper.service\n0::/\n', 'klipper.service'],
  ['v1 wins over a v2 without content', '1:name=systemd:/a.slice/b.service\n0::/a.slice\n', 'b.service'],
  [
    'template in a nested slice',
    '0::/system.slice/system-klipper.slice/klipper@1.service',
    'klipper@1.service',
  ],
  ['delegated group below a unit', '0::/system.slice/a.service/payload', 'a.service'],
  ['systemd in a container', '0::/docker/0123/system.slice/a.service', 'a.service'],
  ['escaped name', '0::/system.slice/_cgroup.x.service', 'cgroup.x.service'],
  ['session', '0::/user.slice/user-1000.slice/session-1.scope', undefined],
  ['container', '0::/system.slice/docker-0123.scope/x.service', undefined],
  ["a user's own service", '0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service', undefined],
  ['no unit', '0::/\n', undefined],
  ['other controllers only', '4:memory:/x.service\n', undefined],
  ['not a unit name', '0::/-x.service', undefined],
  ['not a unit name either', '0::/a b$(c).service', undefined],
  ['nothing', '', undefined],
];
for (const [name, text, unit] of cgroups) {
  test(`cgroup: ${name}`, () => assert.is(owningUnit(text), unit));
}

const names: [
  why: string,
  comm: string,
  argv: string[],
  exe: string | undefined,
  name: string,
  is: boolean,
][] = [
  ['comm', 'device-api', [], undefined, 'device-api', true],
  ['argv[0]', 'x', ['/opt/device-api', '-v'], '/bin/x', 'device-api', true],
  ['exe', 'x', ['y'], '/opt/tope/device-api', 'device-api', true],
  ['exe of a replaced file', 'x', ['y'], '/opt/tope/device-api (deleted)', 'device-api', true],
  ['long name by argv[0]', 'device-api-serv', ['/o/device-api-server'], '/o/q', 'device-api-server', true],
  ['long name by comm alone', 'device-api-serv', ['renamed'], '/o/renamed', 'device-api-server', true],
  [
    'another long name with the same beginning',
    'device-api-serv',
    ['/o/device-api-servant'],
    undefined,
    'device-api-server',
    false,
  ],
  [
    'a name of 15 is not the beginning of a longer one',
    'device-api-serv',
    ['/o/device-api-server'],
    undefined,
    'device-api-serv',
    false,
  ],
  [
    'a longer name is not a name of 15',
    'device-api-serv',
    ['/o/device-api-serv'],
    undefined,
    'device-api-server',
    false,
  ],
  ['script', 'python3', ['python3', '/opt/klippy.py', '/x'], '/usr/bin/python3.9', 'klippy.py', true],
  ['script without its ending', 'python', ['/env/bin/python', 'klippy.py'], undefined, 'klippy', true],
  ['script after options', 'python3', ['python3', '-u', 'klippy.py'], undefined, 'klippy', true],
  ['python option with a value', 'python3', ['python3', '-W', 'ignore', 'app.py'], undefined, 'app', true],
  ['python -X dev', 'python3', ['python3', '-X', 'dev', '/o/app'], undefined, 'app', true],
  ['python module', 'python3', ['python3', '-um', 'app', 'x'], undefined, 'app', true],
  ['node hook', 'node', ['node', '-r', 'hook', '--import', 'y', 'app.js'], undefined, 'app', true],
  ['the hook is not the name', 'node', ['node', '-r', 'hook', 'app.js'], undefined, 'hook', false],
  ['shell with errexit', 'sh', ['/bin/sh', '-e', '/o/app.sh'], undefined, 'app', true],
  ['shell option with a value', 'bash', ['bash', '-euo', 'pipefail', 'app'], undefined, 'app', true],
  ['argument of another program', 'vi', ['vi', '/opt/device-api'], '/bin/vi', 'device-api', false],
  ['program text', 'sh', ['sh', '-c', 'device-api'], '/bin/sh', 'device-api', false],
  ['program text of node', 'node', ['node', '--eval', 'device-api'], '/bin/node', 'device-api', false],
  ['beginning of a name', 'device-api2', ['device-api2'], undefined, 'device-api', false],
  ['nothing known', '', [], undefined, 'device-api', false],
];
for (const [why, comm, argv, exe, name, is] of names) {
  test(`name: ${why}`, () => assert.is(isNamed({ comm, argv, exe }, name), is));
}

test('name: a cut in the middle of a character does not throw', () => {
  assert.is(isNamed({ comm: 'ääääääää', argv: [], exe: undefined }, 'ääääääääää'), false);
});

test('a command line is found by its script, else by its program', () => {
  assert.is(commandName(['/usr/bin/python3', '-u', '/opt/klippy.py']), 'klippy.py');
  assert.is(commandName(['/opt/device-api', 'x']), 'device-api');
  assert.is(commandName(['/bin/sh', '-c', 'x']), undefined);
  assert.is(commandName([]), undefined);
});

test('a script that goes by the name of its interpreter is named, one that has a name of its own is not named twice', () => {
  assert.is(scriptBeside('python3', ['/usr/bin/python3', '-u', '/opt/klippy.py']), 'klippy.py');
  assert.is(scriptBeside('python3', ['python3', '-m', 'device.api']), 'device.api');
  assert.is(scriptBeside('klippy.py', ['/usr/bin/python3', '/opt/klippy.py']), undefined);
  assert.is(scriptBeside('a-name-of-many-', ['/bin/sh', '/opt/a-name-of-many-letters']), undefined);
  assert.is(scriptBeside('device-api', ['/opt/device-api', 'x.py']), undefined);
  assert.is(scriptBeside('sh', ['/bin/sh', '-c', 'x']), undefined);
  assert.is(scriptBeside('sh', ['/bin/sh', 'x'.repeat(256)]), undefined);
});

test('a title written over the command line of an interpreter tells nothing of what it runs', () => {
  const lost = (argv: string[], exe: string) => hasLostCommand({ comm: 'x', argv, exe });
  assert.is(lost(['device-api', '', ''], '/usr/bin/node'), true);
  assert.is(lost(['device-api'], '/usr/bin/node (deleted)'), true);
  assert.is(lost(['node'], '/usr/bin/node'), false);
  assert.is(lost(['device-api', 'app.js'], '/usr/bin/node'), false);
  assert.is(lost(['nginx: master process'], '/usr/sbin/nginx'), false);
});

test('only the kernel mark is taken off a path', () => {
  assert.is(withoutDeleted('/a/b (deleted)'), '/a/b');
  assert.is(withoutDeleted('/a (deleted)/b'), '/a (deleted)/b');
});

test.run();
