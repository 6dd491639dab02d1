/** A unit that systemd starts by its socket, and clients that connect all the time. */
import type { Container } from './container.ts';

export const servedUnits = {
  'served.service': '[Service]\nExecStart=/opt/tope/k/served/run\n',
  'served.socket': '[Socket]\nListenStream=/run/served.sock\n',
};

/** Answers each client with its version. */
export function servedProgram(version: string): string {
  return `#!/usr/bin/perl
# version ${version}
open(my $note, '>', "/run/v/served.$$") or die "no note: $!";
print $note "${version}\\n";
close($note);
open(my $listener, '+<&=', 3) or die "no socket: $!";
while (accept(my $client, $listener)) { syswrite($client, "${version}\\n"); close($client); }
`;
}

/** Begins to connect, 50 times a second, and goes on until the container ends. */
export async function startClients(container: Container): Promise<void> {
  container.put(
    '/root/clients.pl',
    `use IO::Socket::UNIX;
open(my $answers, '>>', '/run/answers');
$answers->autoflush(1);
while (1) {
  my $server = IO::Socket::UNIX->new('/run/served.sock');
  my $answer = $server ? <$server> : undef;
  print $answers $answer if defined $answer;
  select(undef, undef, undef, 0.02);
}
`,
  );
  await container.sh(
    'systemd-run --quiet --scope --unit=session-clients perl /root/clients.pl </dev/null >/dev/null 2>&1 &',
  );
}

/** Versions that answered since the last look, each with how often, in their order: `['1.0.0 20', '2.0.0 3']`. */
export async function answersSince(container: Container): Promise<string[]> {
  const lines = await container.sh('uniq -c </run/answers; : >/run/answers');
  return lines.split('\n').flatMap((line) => {
    const [count, version] = line.trim().split(' ');
    return version === undefined ? [] : [`${version} ${count}`];
  });
}
