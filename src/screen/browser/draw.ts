/** Puts a face on the page. */
import { $, add, empty, put } from './dom.ts';
import type { Face } from './face.ts';
import type { Voice } from './say.ts';
import * as text from './text.ts';
import type { Action, State } from './wire.ts';

/** Every action that has a button in markup.ts, and the button. */
export const buttons: readonly (readonly [Action, string])[] = [
  ['cancel', 'askCancel'],
  ['install', 'askInstall'],
  ['consent', 'askConsent'],
  ['rollback', 'askRollback'],
];

/** Lines of a face that stand in the element of their name. */
const lines = ['title', 'version', 'detail', 'amount', 'rate', 'left', 'note', 'reason', 'raw'] as const;

/** `state`: null before the updater was first heard: then no figure is shown, and nothing is called live. */
export function draw(face: Face, state: State | null, isLost: boolean, { say }: Voice): void {
  const percent = state ? state.progress : 0;
  const shown = face.tone ? 100 : percent;
  const acts = !isLost && face.actions.length > 0;
  $('screen').className =
    `${face.tone}${isLost ? ' lost' : ''}${shown ? '' : ' zero'}${acts ? ' acts' : ''}${state ? '' : ' new'}`;
  put('link', say(isLost ? text.lost : state ? text.live : text.waits));
  lines.forEach((line) => {
    put(line, face[line]);
  });
  $('facts').hidden = !face.amount;
  put('percent', String(percent));
  $('figure').hidden = face.tone !== '' || !state;
  if (state) $('ring').setAttribute('aria-valuenow', String(percent));
  $('arc').style.strokeDashoffset = String(333 * (1 - shown / 100));
  $('error').hidden = !face.reason;
  drawSteps(face);
  $('showDetails').hidden = !face.details;
  // Four buttons do not fit on a small panel.
  $('showHistory').hidden = !state || isLost || (face.details !== null && face.actions.length > 1);
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
