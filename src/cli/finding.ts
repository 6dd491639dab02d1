/** One thing that the doctor looked at. */
export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do; none where all is well. */
  readonly advice?: string;
}

/** How a check ends. */
export type Check = Readonly<Record<Finding['level'], (found: string, advice?: string) => Finding>>;

/** `check`: what is looked at. */
export function checkOf(check: string): Check {
  const ending = (level: Finding['level']) => (found: string, advice?: string) => ({
    ...{ check, level, found },
    ...(advice === undefined ? {} : { advice }),
  });
  return { ok: ending('ok'), warn: ending('warn'), fail: ending('fail') };
}
