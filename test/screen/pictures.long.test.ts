/**
 * The page as a picture: every state on three panels, in both themes and both languages. Nothing is cut off, nothing
 * lies upon something else, and all of it has the contrast that reading from two metres takes.
 *
 * PICTURES=DIR keeps them all there; DOCS=docs/images renews the two of the documentation.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import * as assert from 'uvu/assert';
import { concurrently } from '../runner/concurrently.ts';
import { launchBrowser, missingBrowser, openScreen } from './browser.ts';
import { type Face, faces, startFaces } from './faces.ts';
import { layoutFaults } from './layout.ts';

const tests = concurrently('pictures of the page', 2);
/** Where all of them are kept; only the two of the documentation are taken otherwise, to be thrown away or shown. */
const { PICTURES: kept, DOCS: docs } = process.env;
const folder = docs ?? mkdtempSync(join(tmpdir(), 'pictures-'));
process.once('exit', () => docs === undefined && rmSync(folder, { recursive: true }));

const panels = [
  { width: 480, height: 320 },
  { width: 1024, height: 600 },
  { width: 1920, height: 440 },
  { width: 390, height: 844 },
] as const;
const themes = ['dark', 'light'] as const;
const shownInDocs = new Map([
  ['downloading English 1024x600 dark', 'screen-dark'],
  ['installing Chinese 1024x600 light', 'screen-light'],
]);

for (const [language, locale] of [
  ['English', 'en-GB'],
  ['Chinese', 'zh-CN'],
] as const)
  tests.needing(missingBrowser, `nothing is cut off or unreadable in ${language}`, async () => {
    const browser = await launchBrowser();
    const stage = await startFaces();
    try {
      const { page, complaints } = await openScreen(browser, stage.url, { locale });
      const faults: string[] = [];
      for (const face of faces) {
        await stage.show(face);
        await turnTo(page, face);
        faults.push(...(await look(page, face, language)));
        if (face.opensBy !== undefined) await page.keyboard.press('Escape');
      }
      assert.equal(faults, []);
      assert.equal(complaints, []);
    } finally {
      await browser.close();
      await stage.close();
    }
  });

/** Takes a picture of a face on every panel in both themes; what is wrong with them. */
async function look(page: Page, face: Face, language: string): Promise<string[]> {
  const faults: string[] = [];
  for (const panel of panels) {
    await page.setViewportSize(panel);
    for (const colorScheme of themes) {
      await page.emulateMedia({ colorScheme });
      const what = `${face.name} ${language} ${panel.width}x${panel.height} ${colorScheme}`;
      faults.push(...(await layoutFaults(page)).map((fault) => `${what}: ${fault}`));
      const name = shownInDocs.get(what);
      if (kept !== undefined) await take(page, join(kept, `${what.replaceAll(' ', '-')}.png`));
      else if (name !== undefined) await take(page, join(folder, `${name}.png`));
    }
  }
  return faults;
}

async function turnTo(page: Page, { opensBy, title }: Face): Promise<void> {
  await page.locator(`#title:text-matches(${JSON.stringify(title)})`).waitFor({ timeout: 10_000 });
  if (opensBy !== undefined) await page.click(`#${opensBy}`);
  // The ring takes its time to turn.
  await page.waitForTimeout(450);
}

async function take(page: Page, path: string): Promise<void> {
  await page.screenshot({ path });
  const { size } = statSync(path);
  assert.ok(size > 5_000 && size < 100_000, `${path}: ${size} bytes`);
}

tests.run();
