/** Text that others chose, as a log or a terminal may have it: nothing in it is obeyed, and it forges or hides no line. Pure. */

/** In one line. */
export function printed(text: string): string {
  return text.replace(unprintable, (character) => (character === '\n' ? '\\n' : escaped(character)));
}

/** The same of text that may have lines, and colours of ours: `isOurs` tells these sequences. */
export function printedLines(text: string, isOurs: (sequence: string) => boolean = () => false): string {
  return text.replace(colourOrUnprintable, (found) =>
    found === '\n' || isOurs(found) ? found : Array.from(found, (each) => printed(each)).join(''),
  );
}

/** As JSON has it. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** All but printable characters: C0, DEL, C1, Unicode line and direction marks. */
const unprintable = /[^ -~\u00a0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\uffff]/g;
const colourOrUnprintable = new RegExp(`\\x1b\\[\\d+m|${unprintable.source}`, 'g');
