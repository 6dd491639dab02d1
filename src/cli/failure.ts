/** How a command ends when it cannot do what it was asked: the message is for people, the exit status for scripts. */

export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** See exitCodes in commands.ts. */
  readonly exitCode: 1 | 3;

  constructor(message: string, exitCode: 1 | 3 = 1, options?: { cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
