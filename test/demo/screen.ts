/**
 * What the demo shows: headings, facts, checks, and a progress bar. The bar is redrawn in place on a terminal and becomes
 * a few plain lines in a pipe; colour only on a terminal and never with NO_COLOR (no-color.org).
 */

export interface Screen {
  title(text: string): void;
  heading(text: string): void;
  line(text: string): void;
  /** A line of lesser importance. */
  note(text: string): void;
  /** Rows in aligned columns. */
  table(rows: readonly (readonly string[])[]): void;
  /** Says whether something is as it should be; the demo fails at its end where it was not. */
  check(what: string, holds: boolean): void;
  bar(percent: number, text: string): void;
  /** The bar is done; what it showed last stays. */
  endBar(): void;
  failures(): readonly string[];
}

const barCells = 32;
/** In a pipe the bar is a line at each such step. */
const plainStepPercent = 20;

export function makeScreen(output: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): Screen {
  const isLive = output.isTTY === true;
  const hasColour = isLive && (environment.NO_COLOR ?? '') === '' && environment.TERM !== 'dumb';
  const paint = (code: number) => (text: string) => (hasColour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const [bold, dim, red, green, cyan] = [paint(1), paint(2), paint(31), paint(32), paint(36)] as const;
  const failures: string[] = [];
  let shownBar = '';
  let plainStep = -1;

  /** Lines go above the bar, which is drawn again below them. */
  const print = (text: string) => {
    if (isLive && shownBar !== '') output.write(`\r\x1b[K${text}\n${shownBar}`);
    else output.write(`${text}\n`);
  };

  const screen: Screen = {
    title: (text) => print(`\n${bold(text)}`),
    heading: (text) => print(`\n${bold(cyan(text))}`),
    line: (text) => print(`  ${text}`),
    note: (text) => print(dim(`  ${text}`)),
    table: (rows) => {
      const widths = rows.reduce<number[]>(
        (widest, row) => row.map((cell, index) => Math.max(widest[index] ?? 0, cell.length)),
        [],
      );
      for (const row of rows) {
        screen.line(
          row
            .map((cell, index) => cell.padEnd(widths[index] ?? 0))
            .join('  ')
            .trimEnd(),
        );
      }
    },
    check: (what, holds) => {
      if (!holds) failures.push(what);
      print(`  ${holds ? green('ok') : red('NOT SO:')} ${what}`);
    },
    bar: (percent, text) => {
      const filled = Math.round((barCells * percent) / 100);
      const figure = `${String(percent).padStart(3)} %`;
      if (isLive) {
        shownBar = `  ${green('█'.repeat(filled))}${dim('░'.repeat(barCells - filled))} ${figure}  ${text}`;
        output.write(`\r\x1b[K${shownBar}`);
        return;
      }
      const step = Math.floor(percent / plainStepPercent);
      if (step === plainStep) return;
      plainStep = step;
      print(`  [${'#'.repeat(filled)}${'.'.repeat(barCells - filled)}] ${figure}  ${text}`);
    },
    endBar: () => {
      if (isLive && shownBar !== '') output.write('\n');
      shownBar = '';
      plainStep = -1;
    },
    failures: () => failures,
  };
  return screen;
}
