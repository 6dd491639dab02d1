/** Words, figures and times in the language of the screen. */
import * as text from './text.ts';
import type { Notes } from './wire.ts';
import type { Pair } from './words.ts';
import * as words from './words.ts';

export interface Voice {
  /** 0: English, 1: Chinese. */
  readonly language: 0 | 1;
  /** The words of that language, each value in the place of a `{}`. */
  say(pair: Pair, ...values: readonly string[]): string;
  /** Release notes, in the language that was wanted before any other. */
  notes(notes: Notes | null): string;
}

/** `wanted`: a language's code, as `zh-CN`. */
export function voice(wanted: string): Voice {
  const language = /^zh/i.test(wanted) ? 1 : 0;
  const code = wanted.slice(0, 2).toLowerCase();
  return {
    language,
    notes(notes) {
      if (typeof notes === 'string' || !notes) return notes || '';
      return notes[code] || notes.en || notes[Object.keys(notes)[0] || ''] || '';
    },
    say: (pair, ...values) => {
      let index = 0;
      return pair[language].replace(/\{\}/g, () => values[index++] || '');
    },
  };
}

/** `13.8 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let unit = 0;
  let count = bytes;
  while (count >= 1000 && unit < 3) {
    count /= 1000;
    unit += 1;
  }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

export function duration({ say }: Voice, seconds: number): string {
  if (seconds < 60) return say(text.seconds, String(Math.ceil(seconds)));
  return say(text.minutes, String(Math.ceil(seconds / 60)));
}

/** `2026-11-23 20:44`, in the time zone of the device. */
export function day(iso: string): string {
  const date = new Date(iso);
  const two = (count: number) => (count < 10 ? '0' : '') + count;
  const parts = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())];
  return `${parts.join('-')} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The sentence for an error `CODE: text`. */
export function inWords(error: string, { say }: Voice): string {
  const errors: Readonly<Record<string, Pair>> = words.errors;
  return say(errors[error.split(':')[0] || ''] || words.errors.INTERNAL_ERROR);
}
