/** Turns: actions that follow one another and never overlap. */

export interface Turns {
  /** Runs `action` when all earlier ones have ended, however they ended. */
  inTurn<T>(action: () => Promise<T>): Promise<T>;
  /** The same, but rejects with the signal's reason as soon as it aborts: whoever aborted may hold the turn and wait. */
  inTurnUnless(signal: AbortSignal, action: () => Promise<void>): Promise<void>;
  /** No turn begins before this is called. */
  open(): void;
  /** Resolves when the turns asked for so far have ended. */
  settled(): Promise<void>;
}

export function createTurns(): Turns {
  let open: () => void = () => undefined;
  let last: Promise<unknown> = new Promise<void>((resolve) => {
    open = resolve;
  });
  const inTurn = <T>(action: () => Promise<T>): Promise<T> => {
    const result = last.then(action);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    inTurn,
    inTurnUnless: (signal, action) =>
      new Promise((resolve, reject) => {
        const giveUp = () => reject(signal.reason);
        if (signal.aborted) giveUp();
        signal.addEventListener('abort', giveUp, { once: true });
        const turn = inTurn(async () => {
          if (!signal.aborted) await action();
        });
        turn.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
      }),
    open: () => open(),
    settled: async () => {
      await last;
    },
  };
}
