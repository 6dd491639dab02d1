/** What the screen shows, made of what the updater tells. Pure: draw.ts puts it on the page. */
import { type Details, detailsOf } from './details.ts';
import { installed, isKnown, toTakeBack } from './past.ts';
import { day, duration, inWords, size, type Voice } from './say.ts';
import * as text from './text.ts';
import type { Action, Past, State, Versions } from './wire.ts';
import type { Pair } from './words.ts';
import * as words from './words.ts';

export interface Face {
  /** What the ring looks like: a class of style.ts; empty: a figure that rises. */
  readonly tone: '' | 'ok' | 'ok wait' | 'held' | 'bad' | 'back';
  readonly title: string;
  readonly version: string;
  readonly detail: string;
  readonly amount: string;
  readonly rate: string;
  readonly left: string;
  readonly note: string;
  /** The failure in a sentence, and as the updater tells it. */
  readonly reason: string;
  readonly raw: string;
  /** Names; `at`: the one under way. */
  readonly steps: readonly string[];
  readonly at: number;
  /** What a sheet of its own says more. */
  readonly details: Details | null;
  /** In the order of their buttons. */
  readonly actions: readonly Action[];
}

/** What the updater has told beside its state; `versions`: null before that. */
export interface Heard {
  readonly past: readonly Past[];
  readonly versions: Versions | null;
}

/** `state`: null before the updater was first heard. `allowed`: what the page may offer at all. */
export function faceOf(
  state: State | null,
  { past, versions }: Heard,
  allowed: readonly Action[],
  voice: Voice,
): Face {
  const { say } = voice;
  if (state === null) return faceWith({ title: say(text.name) });
  const { stage } = state;
  const latest = installed(past);
  const kind = state.kind === 'rollback' || state.kind === 'repair' ? state.kind : undefined;
  const usual = faceWith(
    {
      title: titleOf(stage, kind, voice),
      version: versionLine(state, latest, voice),
      details: detailsOf(state, versions, voice),
      actions: actionsOf(state, past).filter((action) => allowed.indexOf(action) >= 0),
    },
    counts(state, voice),
    stepsOf(state, kind, voice),
  );
  const but = (...parts: readonly Partial<Face>[]) => faceWith(usual, ...parts);
  const wait = waitOf(state, voice);
  if (wait) return but(wait);
  switch (stage) {
    case 'idle':
      return but({ tone: 'ok', detail: latest ? say(text.since, day(latest.ended_at)) : '' });
    case 'toInstall':
      return but({
        tone: 'ok wait',
        detail: usual.actions.indexOf('install') < 0 ? say(text.ready) : '',
        note: reusedLine(state, voice),
      });
    case 'downloading':
      return but({ note: reusedLine(state, voice) });
    case 'success':
      return but({ tone: 'ok' });
    case 'failed':
      return but({ tone: 'bad', reason: inWords(state.error || '', voice), raw: state.error || '' });
    case 'installing':
    case 'rebooting':
      return but(
        {
          detail: messageLine(state, voice),
          note: say(text.safe),
        },
        undoOf(state, kind, voice),
      );
    default:
      return usual;
  }
}

/** The question before an action. */
export function questionOf(action: Action, state: State, past: readonly Past[], { say }: Voice): string {
  const { ask } = words.actions[action];
  const version = action === 'consent' ? consentVersion(state) : state.version;
  if (action !== 'rollback') return isKnown(version) ? say(ask, version) : say(words.unknown[action]);
  const candidate = toTakeBack(past);
  const to = candidate ? candidate.previous_version : null;
  const latest = installed(past);
  const { further } = words;
  if (worksAfterFailure(state) && latest && isKnown(latest.version))
    return isKnown(to) ? say(further.ask, latest.version, to) : say(further.askUnknown, latest.version);
  return isKnown(to) ? say(ask, to) : say(words.unknown.rollback);
}

/** A failure left the version before it at work. */
export function worksAfterFailure({ stage, error }: State): boolean {
  return stage === 'failed' && !/^ROLLBACK_FAILED/.test(error || '');
}

export function isBusy(state: State | null): boolean {
  return state !== null && !/^(idle|success|failed)$/.test(state.stage);
}

const nothing: Face = {
  tone: '',
  title: '',
  version: '',
  detail: '',
  amount: '',
  rate: '',
  left: '',
  note: '',
  reason: '',
  raw: '',
  steps: [],
  at: 0,
  details: null,
  actions: [],
};

/** ES2015 has no spread of objects. */
function faceWith(...parts: readonly Partial<Face>[]): Face {
  return Object.assign({}, nothing, ...parts);
}

function titleOf(stage: State['stage'], kind: 'rollback' | 'repair' | undefined, { say }: Voice): string {
  const others: Readonly<Record<string, Pair>> = kind ? words.others[kind] : {};
  return say(others[stage] || words.stages[stage]);
}

function versionLine({ stage, version }: State, latest: Past | undefined, { say }: Voice): string {
  const isOver = stage === 'idle' || (stage === 'success' && latest);
  const shown = isOver ? latest?.version : version;
  if (isKnown(shown)) return say(text.version, shown);
  return stage === 'idle' ? say(text.none) : '';
}

function messageLine({ message, module }: State, { language }: Voice): string {
  if (/^(installing|rolling back|rebooting)$/.test(message)) return '';
  const chinese: Readonly<Record<string, string>> = words.messages;
  const line = (language && chinese[message]) || message.charAt(0).toUpperCase() + message.slice(1);
  return module ? `${line} \u00b7 ${module}` : line;
}

/** What of a package does not have to be fetched: on the way, and in the end. */
function reusedLine({ stage, download, message }: State, { say }: Voice): string {
  if (stage === 'downloading')
    return download?.bytes_reused ? say(text.reused, size(download.bytes_reused)) : '';
  const found = /^(\S+) of (\S+ .B) downloaded/.exec(message);
  return found ? say(text.saved, say(text.amount, found[1] || '', found[2] || '')) : '';
}

/** What the updater waits for, and that it goes on by itself then. */
function waitOf(state: State, voice: Voice): Partial<Face> | undefined {
  const { say } = voice;
  const { stage, message } = state;
  if (asksConsent(state)) {
    const version = consentVersion(state);
    return {
      tone: 'ok wait',
      title: say(text.available),
      version: isKnown(version) ? say(text.version, version) : '',
      detail: say(text.consent),
    };
  }
  if (/^scheduled: /.test(message)) return { tone: 'ok wait', detail: say(text.waitsForWindow) };
  if (/^waiting for the network: /.test(message)) return { title: say(text.waitsForNetwork), detail: '' };
  const hold = holdOf(state);
  if (stage !== 'installing' || !hold) return undefined;
  const [owner, reason] = hold;
  const isShort = owner.length <= longestOwner;
  const title = isShort ? say(text.waitsFor, owner) : say(text.waits);
  return { tone: 'held', title, detail: isShort ? reason : `${owner}: ${reason}`, note: say(text.begins) };
}

/** Of a title that is read from two metres. */
const longestOwner = 14;

/** Who holds the install, and why. */
function holdOf({ message }: State): [string, string] | undefined {
  const found = /^waiting for ([^:]*): (.*) \(until .* at the latest\)$/.exec(message);
  return found ? [found[1] || '', found[2] || ''] : undefined;
}

function asksConsent({ message }: State): boolean {
  return /^waits for your consent/.test(message);
}

function consentVersion({ message, version }: State): string | null | undefined {
  const found = /^waits for your consent to version (.*)$/.exec(message);
  return found ? found[1] : version;
}

/** The percentage stands still while everything is put back, and the version that did not work is of no interest. */
function undoOf({ message }: State, kind: string | undefined, { say }: Voice): Partial<Face> {
  if (message !== 'putting everything back') return {};
  return {
    tone: 'back',
    title: say(kind ? text.puttingBack : text.puttingOldBack),
    version: '',
    detail: kind ? '' : say(text.didNotWork),
    steps: [],
  };
}

function counts(state: State, voice: Voice): Pick<Face, 'amount' | 'rate' | 'left'> {
  const { bytes = 0, total_bytes: total = 0, bytes_per_second: rate = null } = state;
  const { say } = voice;
  return {
    amount: total > 0 ? say(text.amount, size(bytes), size(total)) : '',
    rate: total > 0 && rate !== null ? say(text.rate, size(rate)) : '',
    left: total > 0 && rate ? say(text.left, duration(voice, (total - bytes) / rate)) : '',
  };
}

function stepsOf(
  state: State,
  kind: 'rollback' | 'repair' | undefined,
  { say }: Voice,
): Pick<Face, 'steps' | 'at'> {
  if (!isBusy(state)) return { steps: [], at: 0 };
  if (kind) return { steps: [say(words.others[kind].installing), say(words.steps[3])], at: 0 };
  const at = ['downloading', 'verifying'].indexOf(state.stage);
  return { steps: words.steps.map((step) => say(step)), at: at < 0 ? 2 : at };
}

/** What the API takes in this state. */
function actionsOf(state: State, past: readonly Past[]): Action[] {
  const { stage, kind } = state;
  if (asksConsent(state)) return ['consent'];
  if (stage === 'toInstall') return ['cancel', 'install'];
  if (stage === 'downloading' || stage === 'verifying') return ['cancel'];
  if (stage === 'installing') return holdOf(state) && kind === 'update' ? ['cancel'] : [];
  return stage !== 'rebooting' && toTakeBack(past) ? ['rollback'] : [];
}
