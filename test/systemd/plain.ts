/** Plain programs of a device beside its units, and the table of what runs on it: everything that a process was given. */
import type { FileSpec } from '../fixtures/package-builder.ts';
import type { Container } from './container.ts';

export interface PlainProgram {
  readonly name: string;
  /** How the device has started it, as root: a line of shell in which `$P` is the program. */
  readonly start: string;
  /** How many of it run then. */
  readonly count?: number;
}

/** The user of some of them. */
export const owner = 'device';

export const plainPrograms: readonly PlainProgram[] = [
  {
    name: 'traits',
    start: [
      'umask 027; echo 100 >/proc/self/oom_score_adj; cd /home/device',
      'exec nice -n 5 taskset -c 0 prlimit --nofile=512:2048 --core=0:0 setpriv --reuid=device --regid=device --groups=device,games' +
        ' --inh-caps=+net_bind_service --ambient-caps=+net_bind_service --' +
        ' env -i PATH=/usr/bin:/bin HOME=/home/device "WORDS=two words" $P one "two words" >>/var/log/traits.log 2>/dev/null',
    ].join('; '),
  },
  { name: 'twins', start: 'cd /; ($P left >/dev/null 2>&1 &); exec $P right >/dev/null 2>&1', count: 2 },
  {
    name: 'lost',
    start:
      'mkdir -p /opt/tope/p/away/deep; cd /opt/tope/p/away/deep; rmdir /opt/tope/p/away/deep /opt/tope/p/away; exec $P >/dev/null 2>&1',
  },
  {
    name: 'bytes',
    start: 'd=$(printf "/srv/caf\\351\\377"); mkdir -p "$d"; cd "$d"; exec $P >/dev/null 2>&1',
  },
  { name: 'piped', start: 'cd /; $P 2>&1 | cat >/dev/null' },
  { name: 'hooked', start: 'cd /; exec /opt/node -r /opt/tope/p/hooked/hook.js $P.js >/dev/null 2>&1' },
];

export const pathOfPlain = (name: string) => `/opt/tope/p/${name}/${name}`;

/** Files of a program by the path that each has on the device. */
export function filesOfPlain(name: string, version: string): Record<string, FileSpec> {
  const path = pathOfPlain(name);
  if (name !== 'hooked') return { [path]: { content: shellProgram(name, version), mode: 0o755 } };
  const note = `require('fs').writeFileSync('/run/v/hooked.' + process.pid, '${version}\\n')`;
  return {
    [`${path}.js`]: {
      content: `// version ${version}\n${note};\nsetInterval(() => 0, 1000);\n`,
      mode: 0o644,
    },
    '/opt/tope/p/hooked/hook.js': { content: `// version ${version}\n`, mode: 0o644 },
  };
}

/** Stays a process of its own name. */
function shellProgram(name: string, version: string): string {
  return `#!/bin/sh\n# version ${version}\necho ${version} >/run/v/${name}.$$\necho ${name} ${version} starts\nwhile :; do sleep 1; done\n`;
}

/** Puts them there and starts each in a session of its own, as a login or a script at boot does. */
export async function startPlainPrograms(container: Container, version: string): Promise<void> {
  await container.sh(
    'useradd -m device; mkdir -m 1777 -p /run/v; install -o device /dev/null /var/log/traits.log',
  );
  for (const { name, start } of plainPrograms) {
    for (const [path, { content, mode }] of Object.entries(filesOfPlain(name, version)))
      container.put(path, content as string, mode);
    container.put(`/root/start-${name}`, `P=${pathOfPlain(name)}\n${start}\n`);
    await container.sh(
      `setsid systemd-run --quiet --scope --unit=session-${name} sh /root/start-${name} </dev/null >/dev/null 2>&1 &`,
    );
  }
}

/** One line a process that has noted its version in /run/v, sorted; what is another at each start is left out. */
export async function processTable(container: Container): Promise<string[]> {
  container.put('/root/table', tableScript);
  return (await container.sh('sh /root/table')).split('\n').filter((line) => line !== '');
}

/** What of two tables is not the same, in few words. */
export function differences(actual: readonly string[], expected: readonly string[]): string[] {
  const names = (table: readonly string[]) => table.map((line) => line.split(' ')[0]).join(' ');
  if (names(actual) !== names(expected)) return [`runs: ${names(actual)}`, `expected: ${names(expected)}`];
  return actual.flatMap((line, index) => {
    const [found, wanted] = [line.split(' '), expected[index]?.split(' ') ?? []];
    const differing = found.flatMap((word, at) =>
      word === wanted[at] ? [] : [`${word}, not ${wanted[at]}`],
    );
    return line === expected[index] ? [] : [`${found[0]}: ${differing.slice(0, 5).join('; ')}`];
  });
}

const tableScript = `
own='^(INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|LISTEN_PID)='
facts='^(Uid|Gid|Groups|Umask|Cpus_allowed_list|CapAmb|NoNewPrivs):'
mkdir -p /run/v
cd /run/v
for f in *; do
  p=/proc/\${f##*.}
  [ -d $p ] || continue
  echo \${f%.*} version=$(cat $f) \\
    $(grep -E "$facts" $p/status | tr -d '\\t') \\
    nice=$(ps -o ni= -p \${f##*.}) oom=$(cat $p/oom_score_adj) \\
    limits=$(tail -n +2 $p/limits | sed -E 's/ {2,}/ /g' | tr '\\n' ',') \\
    cwd=$(readlink $p/cwd) in=$(readlink $p/fd/0) out=$(readlink $p/fd/1) err=$(readlink $p/fd/2) \\
    mounts=$([ "$(readlink $p/ns/mnt)" = "$(readlink /proc/1/ns/mnt)" ] && echo host || echo other) \\
    line=$(tr '\\0' ' ' <$p/cmdline) env=$(tr '\\0' '\\n' <$p/environ | grep -vE "$own" | sort | tr '\\n' ',')
done | sed -E 's/(socket|pipe):\\[[0-9]+\\]/\\1/g' | LC_ALL=C sort
`;
