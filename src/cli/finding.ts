/** One thing that the doctor looked at. */
export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do; none where all is well. */
  readonly advice?: string;
}
