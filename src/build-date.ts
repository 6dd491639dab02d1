/** When this program was built, as far as a build that depends on nothing but the sources can say: the day of its newest release. */

declare const TOPE_UPDATER_BUILD_MS: number;

/** Epoch milliseconds. A wall clock that shows less is no clock: it has not been set since the device was switched on. */
export const buildMs =
  typeof TOPE_UPDATER_BUILD_MS === 'number' ? TOPE_UPDATER_BUILD_MS : Date.UTC(2026, 0, 1);
