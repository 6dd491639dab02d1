/** History, details and question: each takes the place of the screen, so that nothing behind it can be reached by key or touch. */

import type { Details } from './details.ts';
import { $, add, empty, put } from './dom.ts';
import { isKnown, newUpdater } from './past.ts';
import { day, inWords, type Voice } from './say.ts';
import * as text from './text.ts';
import type { Past } from './wire.ts';
import * as words from './words.ts';

export interface Sheets {
  /** `by`: the button that opened it; `focus`: what has the focus in it. */
  open(name: 'history' | 'details' | 'question', by: string, focus: string): void;
  close(): void;
  isOpen(): boolean;
}

export function createSheets(): Sheets {
  let openedBy = '';
  const show = (name: string) => {
    ['screen', 'history', 'details', 'question'].forEach((id) => {
      $(id).hidden = id !== name;
    });
  };
  return {
    open(name, by, focus) {
      openedBy = by;
      show(name);
      $(focus).focus();
    },
    close() {
      show('screen');
      if (openedBy) $(openedBy).focus();
      openedBy = '';
    },
    isOpen: () => openedBy !== '',
  };
}

export function fillHistory(past: readonly Past[], voice: Voice): void {
  const { say } = voice;
  const list = empty('entries');
  past.slice(0, mostEntries).forEach(({ kind, version, outcome, error, modules, ended_at }, index) => {
    const item = add(list, 'li', '');
    item.className = outcome;
    add(item, 'time', day(ended_at));
    add(item, 'b', say(words.kinds[kind]) + (isKnown(version) ? ` ${version}` : ''));
    add(item, 'p', error ? inWords(error, voice) : modules.join(', '));
    const updater = newUpdater(past, index);
    if (updater) add(item, 'p', `tope-updater ${updater}`);
  });
  if (past.length === 0) add(list, 'li', say(text.empty));
}

export function fillDetails({ title, lead, more }: Details): void {
  put('detailsTitle', title);
  put('lead', lead);
  put('more', more);
}

const mostEntries = 50;
