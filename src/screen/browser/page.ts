/**
 * What the page does: hears of the updater, draws it, carries out what its buttons say. Bundled as ES2015
 * (build/screen-script.ts). Its address may hold `#token=...`, sent as the bearer token, and `#lang=zh`; what it may offer
 * stands in the `data-actions` of its body.
 */
import { $, put } from './dom.ts';
import { buttons, draw } from './draw.ts';
import { type Face, faceOf, isBusy, questionOf, worksAfterFailure } from './face.ts';
import { openLink } from './link.ts';
import { inWords, type Voice, voice } from './say.ts';
import { createSheets, fillDetails, fillHistory } from './sheets.ts';
import * as text from './text.ts';
import type { Action, Past, State, Versions } from './wire.ts';
import * as words from './words.ts';

/** What the updater has told beside its state, by the path that it was asked for at. */
interface Told {
  readonly history?: { readonly updates: readonly Past[] };
  readonly versions?: Versions;
}

function start(given: Readonly<Record<string, string>>, allowed: readonly Action[]): void {
  const spoken = voice(given.lang || navigator.language || '');
  const { say } = spoken;
  const sheets = createSheets();
  let now: State | null = null;
  const told: Told = {};
  let asked: Action = 'rollback';

  const link = openLink(given.token, {
    heard(state) {
      const before = now;
      now = state;
      if (!before || before.stage !== state.stage) {
        (['history', 'versions'] as const).forEach(learn);
        // What an open sheet asks or shows is over when work begins.
        if (isBusy(state) && sheets.isOpen()) sheets.close();
      }
      redraw();
    },
    lost: redraw,
  });

  /** An updater of before has no versions to tell. */
  function learn(path: keyof Told): void {
    link.ask('GET', path, null, (reply) => {
      if (reply?.data) Object.assign(told, { [path]: reply.data });
      redraw();
    });
  }

  function past(): readonly Past[] {
    return told.history ? told.history.updates : [];
  }

  function face(): Face {
    return faceOf(now, { past: past(), versions: told.versions || null }, allowed, spoken);
  }

  function redraw(): void {
    const isFurther = now !== null && worksAfterFailure(now);
    put('askRollback', say(isFurther ? words.further.open : words.actions.rollback.open));
    draw(face(), now, link.isLost(), spoken);
  }

  function ask(action: Action, by: string): void {
    if (!now) return;
    const { consequence, stay, act } = words.actions[action];
    asked = action;
    put('ask', questionOf(action, now, past(), spoken));
    put('consequence', say(consequence));
    put('stay', say(stay));
    put('act', say(act));
    $('act').className = action === 'rollback' || action === 'cancel' ? 'danger' : 'good';
    put('refusal', '');
    setDisabled(false);
    sheets.open('question', by, 'stay');
  }

  function carryOut(): void {
    setDisabled(true);
    const version = now?.version;
    const requests: Readonly<Record<Action, readonly [string, object]>> = {
      rollback: ['rollback', {}],
      install: ['update', { version }],
      cancel: ['cancel', {}],
      consent: ['fleet', { confirm: true }],
    };
    const [path, body] = requests[asked];
    link.ask('POST', path, body, (reply) => {
      if (reply && reply.code === 200) return sheets.isOpen() ? sheets.close() : undefined;
      setDisabled(false);
      put('refusal', reply ? inWords(reply.msg, spoken) : say(text.lost));
    });
  }

  function setDisabled(isDisabled: boolean): void {
    ($('act') as HTMLButtonElement).disabled = isDisabled;
  }

  label(spoken);
  $('showHistory').onclick = () => {
    fillHistory(past(), spoken);
    sheets.open('history', 'showHistory', 'closeHistory');
  };
  $('showDetails').onclick = () => {
    const { details } = face();
    if (details) fillDetails(details);
    sheets.open('details', 'showDetails', 'closeDetails');
  };
  buttons.forEach(([action, id]) => {
    $(id).onclick = () => ask(action, id);
  });
  ['closeHistory', 'closeDetails', 'stay'].forEach((id) => {
    $(id).onclick = sheets.close;
  });
  $('act').onclick = carryOut;
  document.onkeydown = (event) => {
    if (sheets.isOpen() && event.keyCode === 27) sheets.close();
  };
  redraw();
  link.start();
}

/** What reads the same all the time. */
function label({ language, say }: Voice): void {
  const { actions } = words;
  document.documentElement.lang = language ? 'zh-CN' : 'en';
  document.title = say(text.name);
  put('name', say(text.name));
  put('showHistory', say(text.history));
  put('historyTitle', say(text.history));
  put('closeHistory', say(text.close));
  put('showDetails', say(text.details));
  put('closeDetails', say(text.close));
  buttons.forEach(([action, id]) => {
    put(id, say(actions[action].open));
  });
}

/** The settings after the `#` of an address, as `#lang=zh&token=x`. */
function given(hash: string): Record<string, string> {
  const settings: Record<string, string> = {};
  hash
    .slice(1)
    .split('&')
    .forEach((pair) => {
      const at = pair.indexOf('=');
      settings[pair.slice(0, at)] = decodeURIComponent(pair.slice(at + 1));
    });
  return settings;
}

start(given(location.hash), (document.body.getAttribute('data-actions') || '').split(' ') as Action[]);
