/**
 * Makes an SVG of what a program prints on a terminal, line by line at the pace at which it was printed:
 *
 *     script -qefc 'make demo' /dev/null | npx tsx build/terminal-picture.ts docs/images/demo.svg
 *
 * It knows as much of a terminal as our own programs use: carriage return, "erase to the end of the line", and the colours
 * 31 to 36 with bold and dim. A line counts as printed when its line feed comes; a bar that is redrawn shows its last state.
 * The picture is a window of some rows that scrolls; where nothing moves (printed, or prefers-reduced-motion) it shows
 * the end.
 */
import { writeFileSync } from 'node:fs';

interface Cell {
  readonly character: string;
  /** Names of style classes, separated by a space; empty for plain text. */
  readonly style: string;
}
interface Line {
  readonly cells: readonly Cell[];
  readonly atMs: number;
}

const columns = 100;
const rows = 30;
const cellWidth = 8.43;
const rowHeight = 19;
const margin = 16;
/** How long the end is shown before it all begins again. */
const restMs = 8_000;

const escapeCharacter = String.fromCharCode(27);
/** A control sequence with its parameters and its command, or any one character. */
const anyToken = new RegExp(`${escapeCharacter}\\[([\\d;]*)([A-Za-z])|[^]`, 'gu');
/** A chunk may end within a sequence. */
const unfinishedEscape = new RegExp(`${escapeCharacter}(\\[[\\d;]*)?$`);

/** Takes text as it comes; `lines` are the finished ones. */
export function recordTerminal(): { write(text: string, atMs: number): void; lines: readonly Line[] } {
  const lines: Line[] = [];
  let cells: Cell[] = [];
  let column = 0;
  let style = '';
  let cutOff = '';
  const write = (chunk: string, atMs: number) => {
    const text = cutOff + chunk;
    cutOff = unfinishedEscape.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - cutOff.length);
    for (const [token, parameters, command] of whole.matchAll(anyToken)) {
      if (command === 'm') style = styleAfter(style, parameters ?? '');
      else if (command === 'K') cells = cells.slice(0, column);
      else if (command !== undefined) throw new Error(`unknown escape ${JSON.stringify(token)}`);
      else if (token === '\r') column = 0;
      else if (token === '\n') {
        lines.push({ cells: cells.slice(0, columns), atMs });
        cells = [];
        column = 0;
      } else {
        while (cells.length < column) cells.push({ character: ' ', style: '' });
        cells[column] = { character: token, style };
        column += 1;
      }
    }
  };
  return { write, lines };
}

/** The picture of a recording. */
export function terminalPicture(lines: readonly Line[]): string {
  const width = Math.ceil(columns * cellWidth + 2 * margin);
  const height = rows * rowHeight + 2 * margin;
  const endMs = (lines.at(-1)?.atMs ?? 0) + restMs;
  const text = lines.map(({ cells }, index) => lineText(cells, index)).filter((line) => line !== '');
  const end = lines.length;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>A recorded run in a terminal</title>
<style>
svg{background:#0d1117;border-radius:8px}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c9d1d9;white-space:pre}
.b{font-weight:bold}.d{fill:#8b949e}.r{fill:#ff7b72}.g{fill:#3fb950}.y{fill:#d29922}.u{fill:#79c0ff}.m{fill:#d2a8ff}.c{fill:#56d4dd}
.l{transform:translateY(${-scrollAt(end)}px);animation:l ${endMs}ms step-end infinite}
.h{fill:#0d1117;transform:translateY(${end * rowHeight}px);animation:h ${endMs}ms step-end infinite}
@keyframes l{${keyframes(lines, endMs, (shown) => -scrollAt(shown))}}
@keyframes h{${keyframes(lines, endMs, (shown) => shown * rowHeight)}}
@media(prefers-reduced-motion:reduce){.l,.h{animation:none}}
</style>
<svg x="${margin}" y="${margin}" width="${width - 2 * margin}" height="${rows * rowHeight}"><g class="l">
${text.join('\n')}
<rect class="h" width="100%" height="${end * rowHeight}"/>
</g></svg>
</svg>
`;
}

/** How far up the text has moved when so many lines are there. */
function scrollAt(shown: number): number {
  return Math.max(0, shown - rows) * rowHeight;
}

/** One step for each change of the value. */
function keyframes(lines: readonly Line[], endMs: number, value: (shown: number) => number): string {
  const steps = new Map<string, number>([['0', value(0)]]);
  let last = value(0);
  lines.forEach(({ atMs }, index) => {
    const next = value(index + 1);
    if (next !== last) steps.set(((100 * atMs) / endMs).toFixed(2), next);
    last = next;
  });
  return [...steps].map(([at, pixels]) => `${at}%{transform:translateY(${pixels}px)}`).join('');
}

/** Neighbours of one style become one span; a line of blanks needs no text. */
function lineText(cells: readonly Cell[], index: number): string {
  const runs: { style: string; text: string }[] = [];
  for (const { character, style } of cells) {
    const run = runs.at(-1);
    if (run !== undefined && run.style === style) run.text += character;
    else runs.push({ style, text: character });
  }
  if (runs.every(({ text }) => text.trim() === '')) return '';
  const spans = runs.map(({ style, text }) =>
    style === '' ? escaped(text) : `<tspan class="${style}">${escaped(text)}</tspan>`,
  );
  return `<text y="${index * rowHeight + 14}">${spans.join('')}</text>`;
}

const styleNames: Readonly<Record<string, string>> = {
  1: 'b',
  2: 'd',
  31: 'r',
  32: 'g',
  33: 'y',
  34: 'u',
  35: 'm',
  36: 'c',
};

function styleAfter(style: string, parameters: string): string {
  return parameters.split(';').reduce((before, parameter) => {
    if (parameter === '' || parameter === '0') return '';
    const name = styleNames[parameter];
    if (name === undefined) throw new Error(`unknown style ${parameter}`);
    return [...new Set([...before.split(' ').filter((part) => part !== ''), name])].join(' ');
  }, style);
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}

if (process.argv[1] === import.meta.filename) {
  const [, , path] = process.argv;
  if (path === undefined) throw new Error('usage: PROGRAM | tsx build/terminal-picture.ts FILE.svg');
  const { write, lines } = recordTerminal();
  let startedMs: number | undefined;
  for await (const text of process.stdin.setEncoding('utf8')) {
    startedMs ??= performance.now();
    write(String(text), Math.round(performance.now() - startedMs));
  }
  const picture = terminalPicture(lines);
  writeFileSync(path, picture);
  console.log(`${path}: ${lines.length} lines, ${Buffer.byteLength(picture)} bytes`);
}
