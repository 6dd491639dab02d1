/** Writes docs/configuration.md from the table in src/config.ts: `npx tsx build/configuration-page.ts`. */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Option, options } from '../src/config.ts';

const rows = Object.entries<Option>(options).map(([key, { flag, kind, argument, initial, doc }]) => {
  const usage = argument === '' ? `--${flag}` : `--${flag} ${argument.replaceAll('|', '\\|')}`;
  const repeatable = kind === 'list' ? ' (repeatable; a list in the file)' : '';
  const standard =
    initial === undefined ? '' : `\`${typeof initial === 'string' ? initial : JSON.stringify(initial)}\``;
  // Such a key says what is done, its flag what is not.
  const turnsOff = kind === 'switch' && initial === true ? '`false`, or the flag: ' : '';
  return `| \`${key}\` | \`${usage}\`${repeatable} | ${standard} | ${turnsOff}${doc} |`;
});

export const configurationPage = `# Configuration of \`tope-updater run\`

No configuration is needed. On a device the flags stand in \`/etc/default/tope-updater\`, which the systemd unit and the init script read:

\`\`\`sh
# one line, words between blanks; then: systemctl restart tope-updater (or /etc/init.d/tope-updater restart)
TOPE_UPDATER_OPTIONS="--config /etc/tope-updater.json --allow-root /opt/tope --allow-root /home/pi"
\`\`\`

A setting comes from its flag, else from the JSON file named by \`--config FILE\`, else it has its
default. An unknown key or a bad value ends the program with exit code 2 and a message that names it.
Relative paths are relative to the current directory; with systemd that is \`WorkingDirectory\`.

| key | flag | default | meaning |
|---|---|---|---|
${rows.join('\n')}

An example of a file:

\`\`\`json
{
  "dir": "/var/lib/tope-updater",
  "allow_root": ["/opt/tope", "/etc/tope"],
  "log_level": "debug"
}
\`\`\`

With \`token_file\`, every request carries \`Authorization: Bearer TOKEN\`. The file holds the token alone: one word of visible
ASCII, as \`openssl rand -hex 32\` makes it; with anything else the daemon does not start.

With \`socket\`, only root and the group of the socket's file may connect, and there is no TCP port unless \`port\` is given too.

The log is \`logs/updater.log\` in the work directory; at 10 MB it becomes \`updater.log.1\` and that one \`updater.log.2\`: three
files in all. The same lines go to stdout.

<!-- Made by build/configuration-page.ts from the table in src/config.ts. -->
`;

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  writeFileSync(join(import.meta.dirname, '../docs/configuration.md'), configurationPage);
