/** The script of the page, as the browser gets it: in the bundle its text; from a checkout it is made of browser/ at each start. */

declare const TOPE_UPDATER_SCREEN: string | undefined;

export async function screenScript(): Promise<string> {
  return typeof TOPE_UPDATER_SCREEN === 'string'
    ? TOPE_UPDATER_SCREEN
    : (await import('../../build/screen-script.ts')).bundledScreen();
}
