/** What a command prints: lines, and on a terminal one live line below them. NO_COLOR (https://no-color.org) and TERM=dumb are respected. */
import { errno } from '../errors.ts';
import { printedLines } from '../printed.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

export interface Output {
  /** True where a line can be redrawn. */
  readonly isLive: boolean;
  /** Width of the terminal. */
  columns(): number;
  /** Prints a line; a live line moves below it. */
  line(text: string): void;
  /** Replaces the live line; does nothing in a pipe. The text must fit into `columns()`. */
  live(text: string): void;
  paint(style: Style, text: string): string;
}

const codes: Record<Style, number> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };

/** Output to a stream; one that a reader has closed ends the program quietly, as `head` expects it. */
export function createOutput(
  stream: NodeJS.WriteStream,
  environment: Readonly<Record<string, string | undefined>>,
): Output {
  const isLive = stream.isTTY === true && environment.TERM !== 'dumb';
  const hasColour = isLive && (environment.NO_COLOR ?? '') === '';
  let liveLine = '';
  stream.on('error', (error) => process.exit(errno(error) === 'EPIPE' ? 0 : 1));
  return {
    isLive,
    columns: () => stream.columns || 80,
    line: (text) => {
      stream.write(`${liveLine === '' ? '' : '\r\x1b[K'}${tamed(text)}\n`);
      if (liveLine !== '') stream.write(liveLine);
    },
    live: (text) => {
      if (!isLive || tamed(text) === liveLine) return;
      liveLine = tamed(text);
      stream.write(`\r\x1b[K${liveLine}`);
    },
    paint: (style, text) => (hasColour ? `\x1b[${codes[style]}m${text}\x1b[0m` : text),
  };
}

/** What is not of this file is other people's: names of files, reasons of holds. */
function tamed(text: string): string {
  return printedLines(text, (sequence) => ours.has(sequence));
}

const ours = new Set([0, ...Object.values(codes)].map((code) => `\x1b[${code}m`));
