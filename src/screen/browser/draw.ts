/** Puts a face on the page. */
import { $, add, empty, put } from './dom.ts';
import type { Face } from './face.ts';
import type { Voice } from './say.ts';
import type { Action, State } from './wire.ts';
import { words } from './words.ts';

/** Every action that has a button in markup.ts, and the button. */
export const buttons: readonly (readonly [Action, string])[] = [
  ['cancel', 'askCancel'],
  ['install', 'askInstall'],
  ['consent', 'askConsent'],
  ['rollback', 'askRollback'],
];

export function draw(face: Face, state: State | null, isLost: boolean, { say }: Voice): void {
  const percent = state ? state.progress : 0;
  const shown = face.tone ? 100 : percent;
  const acts = !isLost && face.actions.length > 0;
  $('screen').className = `${face.tone}${isLost ? ' lost' : ''}${shown ? '' : ' zero'}${acts ? ' acts' : ''}`;
  put('link', say(isLost ? words.text.lost : words.text.live));
  put('title', face.title);
  put('version', face.version);
  put('detail', face.detail);
  put('amount', face.amount);
  put('rate', face.rate);
  put('left', face.left);
  $('facts').hidden = !face.amount;
  put('note', face.note);
  put('percent', String(percent));
  $('ring').setAttribute('aria-valuenow', String(percent));
  $('arc').style.strokeDashoffset = String(333 * (1 - shown / 100));
  $('error').hidden = !face.reason;
  put('reason', face.reason);
  put('raw', face.raw);
  drawSteps(face);
  $('showError').hidden = !face.raw;
  $('showHistory').hidden = isLost;
  buttons.forEach(([action, id]) => {
    $(id).hidden = isLost || face.actions.indexOf(action) < 0;
  });
}

function drawSteps({ steps, at }: Face): void {
  const list = empty('steps');
  list.hidden = steps.length === 0;
  steps.forEach((name, index) => {
    const item = add(list, 'li', name);
    item.className = index < at ? 'done' : index === at ? 'now' : '';
    if (index === at) item.setAttribute('aria-current', 'step');
  });
}
