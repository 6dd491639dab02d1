/** Text that others chose, as a command may print it: a terminal obeys control characters, and a file's name may hold line ends. Pure. */

/** In one line; what a terminal would obey, and marks that reorder text, as JSON escapes them. */
export function printed(text: string): string {
  return text.replace(obeyed, asJson);
}

/** The same of text that may have lines, and colours of ours: `isOurs` tells these sequences. */
export function printedLines(text: string, isOurs: (sequence: string) => boolean = () => false): string {
  return text.replace(colourOrObeyed, (found) =>
    found === '\n' || isOurs(found) ? found : Array.from(found, escapeObeyed).join(''),
  );
}

function escapeObeyed(character: string): string {
  return character.replace(obeyed, asJson);
}

function asJson(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

const controls = '[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]';
const obeyed = new RegExp(controls, 'g');
const colourOrObeyed = new RegExp(`\\x1b\\[\\d+m|${controls}`, 'g');
