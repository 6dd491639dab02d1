/** What the transitions of the state machine are made of. */
import { UpdateError } from '../errors.ts';
import type { Effect, Event, State, Step } from './event.ts';
import type { Stage } from './state.ts';

/** The new state is `state` with `change`. */
export function go(state: State, change: Partial<State>, ...effects: Effect[]): Step {
  return { state: { ...state, ...change }, effects };
}

/** Throws an Error, a bug, where no job of this stage can have sent the event. */
export function expect(state: State, event: Event, ...allowed: Stage[]): void {
  if (!allowed.includes(state.stage)) throw new Error(`event ${event.kind} in stage ${state.stage}`);
}

/** Throws OPERATION_IN_PROGRESS with the reason where updates are refused altogether. */
export function refuseIfBlocked(state: State): void {
  if (state.blocked !== null) throw new UpdateError('OPERATION_IN_PROGRESS', state.blocked);
}
