/**
 * A real browser for the tests of the page: the Chromium of the system, without a window.
 *
 * Only what these tests start talks to the page; the browser's own traffic is switched off.
 */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const program = '/usr/bin/chromium';

/** Why there is no browser here; undefined: there is one. */
export const missingBrowser = existsSync(program) ? undefined : `${program} is not installed`;

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: program,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface Screen {
  readonly page: Page;
  /** What the page or the browser complained of: exceptions, policy violations. Failed requests are not among it. */
  readonly complaints: readonly string[];
  /** Waits until the element's visible text satisfies the pattern; the error tells what it was instead. */
  shows(id: string, pattern: RegExp, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens the page at `url` in a context of its own; `before` is JavaScript that runs ahead of the page's. */
export async function openScreen(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & { readonly before?: string } = {},
): Promise<Screen> {
  const { before, ...contextOptions } = options;
  const context = await browser.newContext({ locale: 'en-US', timezoneId: 'UTC', ...contextOptions });
  if (before !== undefined) await context.addInitScript({ content: before });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text()))
      complaints.push(message.text());
  });
  await page.goto(url);
  return {
    page,
    complaints,
    shows: async (id, pattern, timeoutMs = 20_000) => {
      const element = page.locator(`#${id}`);
      const end = performance.now() + timeoutMs;
      for (let last = ''; !pattern.test(last); ) {
        if (performance.now() > end) throw new Error(`#${id} shows "${last}", not ${pattern}`);
        last = (await element.isVisible()) ? ((await element.textContent()) ?? '') : '';
        if (!pattern.test(last)) await page.waitForTimeout(30);
      }
    },
    close: () => context.close(),
  };
}
