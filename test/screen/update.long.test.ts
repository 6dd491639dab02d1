/** The page in a real browser, over the built daemon at work: a whole update, a rollback, a failure, lost connections. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import * as assert from 'uvu/assert';
import { realClock } from '../../src/host/clock.ts';
import { startServer } from '../../src/http/server.ts';
import { noFleet } from '../../src/updater/fleet-state.ts';
import { collectingLog, scriptedUpdater } from '../fixtures/scripted-updater.ts';
import type { Daemon } from '../integration/daemon.ts';
import { type Device, withDevice } from '../integration/harness.ts';
import { concurrently } from '../runner/concurrently.ts';
import { launchBrowser, missingBrowser, openScreen } from './browser.ts';

const tests = concurrently('the screen over the daemon', 2);

/** Big enough to be watched while it comes. */
const load = randomBytes(1_500_000);

withScreen('a whole update, and the way back by the button', async (browser, device) => {
  const daemon = await device.start();
  const screen = await openScreen(browser, daemon.url);
  await screen.shows('title', /^Ready$/);
  await screen.shows('version', /^No update yet$/);
  await screen.shows('link', /^Live$/);
  assert.not(await screen.page.locator('#askRollback').isVisible());

  await offerSlowly(device, daemon, '2.0.0');
  await screen.shows('title', /^Downloading$/);
  await screen.shows('version', /^Version 2\.0\.0$/);
  await screen.shows('amount', /^\d+(\.\d)? [kM]B of 1\.5 MB$/);
  await screen.shows('rate', /^\d+(\.\d)? [kM]?B\/s$/);
  await screen.shows('left', /^\d+ s left$/);
  await screen.shows('percent', /^[1-9]\d$/);
  const ring = screen.page.locator('#ring');
  assert.ok(Number(await ring.getAttribute('aria-valuenow')) >= 10);
  assert.is(await screen.page.locator('#steps .now').textContent(), 'Download');
  device.store.throttle(undefined);
  await screen.shows('title', /^Ready to install$/);

  // A sheet that is open when work begins makes way for it.
  await screen.page.click('#showHistory');
  await screen.shows('entries', /^Nothing has been installed yet\.$/);
  await daemon.post('update', { version: '2.0.0' });
  await screen.shows('title', /^Installing$/);
  await screen.shows('detail', /^(Starting services|Checking health)$/);
  assert.equal(await screen.page.locator('#steps .done').allTextContents(), ['Download', 'Check']);
  await screen.shows('title', /^Update complete$/);
  await screen.shows('version', /^Version 2\.0\.0$/);
  assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);

  await screen.page.click('#showHistory');
  await screen.shows('entries', /^\d{4}-\d\d-\d\d \d\d:\d\dUpdate 2\.0\.0alpha, beta, data$/);
  await screen.page.keyboard.press('Escape');

  await screen.page.click('#askRollback');
  await screen.shows('ask', /^Go back to the earlier version\?$/);
  assert.is(await focused(screen.page), 'stay');
  await screen.page.keyboard.press('Enter');
  assert.is(await focused(screen.page), 'askRollback');
  assert.is((await daemon.progress()).stage, 'success');
  await screen.page.click('#askRollback');
  await screen.page.click('#act');
  await screen.shows('title', /^Going back$/);
  await screen.shows('title', /^Rolled back$/);
  assert.equal(device.running(), ['alpha 1.0.0', 'beta 1.0.0']);
  await screen.shows('showHistory', /^History$/);
  // It goes when the page has the new history.
  await screen.page.locator('#askRollback').waitFor({ state: 'hidden', timeout: 5_000 });
  assert.equal(screen.complaints, []);
  await screen.close();
});

withScreen(
  'install and cancel by the buttons, where the daemon lets the page offer them',
  async (browser, device) => {
    const daemon = await device.start(['--screen-actions', 'install,cancel']);
    const screen = await openScreen(browser, daemon.url);
    await screen.shows('title', /^Ready$/);
    await offerSlowly(device, daemon, '2.0.0');
    await screen.shows('askCancel', /^Cancel$/);
    await screen.page.click('#askCancel');
    await screen.shows('ask', /^Cancel the update to version 2\.0\.0\?$/);
    await screen.page.click('#act');
    await screen.shows('title', /^Ready$/);
    assert.is((await daemon.progress()).stage, 'idle');

    device.store.throttle(undefined);
    assert.is((await daemon.post('download', await device.offer(device.usual('2.0.0')))).code, 200);
    await screen.shows('title', /^Ready to install$/);
    await screen.page.click('#askInstall');
    await screen.shows('ask', /^Install version 2\.0\.0\?$/);
    assert.is(await focused(screen.page), 'stay');
    await screen.page.click('#act');
    await screen.shows('note', /^You may switch the device off at any time\.$/);
    await screen.shows('title', /^Update complete$/);
    assert.equal(device.running(), ['alpha 2.0.0', 'beta 2.0.0']);
    assert.not(await screen.page.locator('#askRollback').isVisible(), 'it is not in the list');
    assert.equal(screen.complaints, []);
  },
);

tests.needing(missingBrowser, 'consent by the button', async () => {
  const browser = await launchBrowser();
  const answers: boolean[] = [];
  const updater = scriptedUpdater();
  updater.setProgress({
    stage: 'idle',
    progress: 0,
    message: 'waits for your consent to version 1.6.0',
    error: null,
  });
  const fleet = {
    state: () => noFleet,
    poll: () => undefined,
    answer: async (yes: boolean) => void answers.push(yes),
  };
  const options = { host: '127.0.0.1', port: 0, version: '1', log: collectingLog(), clock: realClock() };
  const server = await startServer(updater, { ...options, fleet, screenActions: ['consent'] });
  try {
    const screen = await openScreen(browser, `http://127.0.0.1:${server.port}/`);
    await screen.shows('title', /^Update available$/);
    await screen.page.click('#askConsent');
    await screen.shows('ask', /^Install version 1\.6\.0\?$/);
    await screen.page.click('#act');
    await screen.shows('askConsent', /^Allow$/);
    assert.equal(answers, [true]);
    await screen.close();
  } finally {
    await browser.close();
    await server.close();
  }
});

withScreen('a failure, told in words, in the language of the browser', async (browser, device) => {
  const daemon = await device.start();
  const english = await openScreen(browser, daemon.url);
  const chinese = await openScreen(browser, daemon.url, { locale: 'zh-CN' });
  const broken = device.usual('2.0.0', {
    'modules/beta': { content: '#!/bin/sh\nexit 3\n', mode: 0o755 },
  });
  const { stage } = await device.install(daemon, broken);
  assert.is(stage, 'failed');
  await english.shows('title', /^Update failed$/);
  await english.shows('reason', /^The new version did not start\. The old one is back\.$/);
  await english.shows('raw', /^SERVICE_START_FAILED: .+/);
  await english.page.click('#showDetails');
  await english.shows('more', /^SERVICE_START_FAILED: .+/);
  await english.page.keyboard.press('Escape');
  assert.is(await focused(english.page), 'showDetails');
  await chinese.shows('title', /^更新失败$/);
  await chinese.shows('reason', /^新版本未能启动，已恢复旧版本。$/);
  assert.is(await chinese.page.locator('html').getAttribute('lang'), 'zh-CN');
  const forced = await openScreen(browser, `${daemon.url}/#lang=zh`);
  await forced.shows('title', /^更新失败$/);
  assert.equal([...english.complaints, ...chinese.complaints, ...forced.complaints], []);
  for (const screen of [english, chinese, forced]) await screen.close();
});

withScreen('a daemon that is killed is missed, and found again when it is back', async (browser, device) => {
  const first = await device.start();
  const port = new URL(first.url).port;
  const screen = await openScreen(browser, first.url);
  await offerSlowly(device, first, '2.0.0');
  await screen.shows('percent', /^[1-9]\d$/);
  await first.end('SIGKILL');
  await screen.shows('link', /^No connection\. Trying again…$/);
  assert.not(await screen.page.locator('#showHistory').isVisible());
  await screen.shows('title', /^Downloading$/);

  const second = await device.start(['--port', port]);
  await screen.shows('link', /^Live$/);
  await screen.shows('amount', /MB$/);
  device.store.throttle(undefined);
  await screen.shows('title', /^Ready to install$/);
  await second.end('SIGTERM');
  await screen.shows('link', /^No connection/);
  assert.equal(screen.complaints, []);
  await screen.close();
});

withScreen(
  'before the first answer nothing is called live, and no figure is shown',
  async (browser, device) => {
    const daemon = await device.start();
    const screen = await openScreen(browser, daemon.url, {
      before:
        'window.EventSource = function () { this.addEventListener = (_, heard) => { window.tell = heard; }; };',
    });
    await screen.shows('link', /^Waiting$/);
    await screen.shows('title', /^Device update$/);
    const isVisible = (id: string) => screen.page.locator(`#${id}`).isVisible();
    const visible = async () => [await isVisible('figure'), await isVisible('showHistory')];
    assert.equal(await visible(), [false, false]);
    assert.is(await screen.page.locator('#ring').getAttribute('aria-valuenow'), null);
    const told = { stage: 'downloading', progress: 7, message: 'downloading the package', error: null };
    await screen.page.evaluate(`tell({ data: '${JSON.stringify(told)}' })`);
    await screen.shows('link', /^Live$/);
    await screen.shows('percent', /^7$/);
    assert.equal(await visible(), [true, true]);
    assert.equal(screen.complaints, []);
    await screen.close();
  },
);

withScreen('a browser without EventSource asks instead', async (browser, device) => {
  const daemon = await device.start();
  const screen = await openScreen(browser, daemon.url, {
    before: 'delete window.EventSource',
  });
  await screen.shows('title', /^Ready$/);
  await offerSlowly(device, daemon, '2.0.0');
  await screen.shows('title', /^Downloading$/);
  await screen.shows('percent', /^[1-9]\d$/);
  device.store.throttle(undefined);
  await screen.shows('title', /^Ready to install$/);
  assert.equal(screen.complaints, []);
  await screen.close();
});

withScreen(
  'with a token the page is told it in its address, and works by asking',
  async (browser, device) => {
    const file = join(device.folder, 'token');
    writeFileSync(file, 'correct-horse+battery');
    const daemon = await device.start(['--token-file', file]);
    const stranger = await openScreen(browser, daemon.url);
    await stranger.shows('link', /^No connection/);
    const screen = await openScreen(
      browser,
      `${daemon.url}/#token=${encodeURIComponent('correct-horse+battery')}`,
    );
    await screen.shows('title', /^Ready$/);
    await screen.shows('link', /^Live$/);
    assert.equal(screen.complaints, []);
  },
);

/** A test with a device and a browser of its own. */
function withScreen(name: string, use: (browser: Browser, device: Device) => Promise<void>): void {
  tests.needing(missingBrowser, name, async () => {
    const browser = await launchBrowser();
    try {
      await withDevice((device) => use(browser, device));
    } finally {
      await browser.close();
    }
  });
}

async function offerSlowly(device: Device, daemon: Daemon, version: string): Promise<void> {
  device.store.throttle(300_000);
  const request = await device.offer(device.usual(version, { 'modules/model.bin': load }));
  const reply = await daemon.post('download', request);
  assert.is(reply.code, 200, reply.msg);
}

function focused(page: Page): Promise<string> {
  return page.evaluate('document.activeElement.id');
}

tests.run();
