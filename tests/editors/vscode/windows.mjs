// Steps of the tour: times, pictures in light and dark, the walkthrough, other windows.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import * as project from './project.mjs';
import { daemon, installHearth, installed, isReady, lastAnswer, step, tour, until, waitForAnswer } from './stage.mjs';

// ── Times ────────────────────────────────────────────────────────────────────────────────────

function printTimes(what, times) {
  if (times.length === 0) return;
  const sorted = times.toSorted((one, other) => one - other);
  const percentile = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(0);
  console.log(`times   ${what}: median ${percentile(0.5)} ms, 90 % ${percentile(0.9)} ms, most ${percentile(1)} ms (${times.length})`);
}

// Explains by key, and waits until the status bar shows it: the milliseconds that this took.
async function explainByKey(window, watched) {
  await window.press('Control+k', 'Alt+e');
  const first = await until('it is shown', async () => (await watched()).texts[0]);
  return first.at - (await watched()).keyAt;
}

step('times, for people to read: from the key to its sight, from Escape to the end', async (window) => {
  const [shown, stopped] = [[], []];
  await window.openFile('stats.py');
  for (let round = 0; round < 8; round++) {
    shown.push(await explainByKey(window, await window.watchStatus()));
    await until('the end', () => isReady());
  }
  await window.openFile('totals.py');
  for (let round = 0; round < 4; round++) {
    const watched = await window.watchStatus();
    shown.push(await explainByKey(window, watched));
    await window.press('Escape');
    await until('the end', () => isReady());
    const { texts, keyAt } = await watched();
    if ((await lastAnswer()).state === 'cancelled') stopped.push(texts.at(-1).at - keyAt);
  }
  printTimes('from the key to the status bar', shown);
  printTimes('from Escape to its end in the status bar', stopped);
  await window.closeEditors();
});

// ── In the dark ──────────────────────────────────────────────────────────────────────────────

// Of README (readme-*) and of the walkthrough, for editors/vscode/media: `pngquant 32` makes them small.
for (const theme of ['Light', 'Dark']) {
  const name = theme.toLowerCase();
  step(`pictures for people who like it ${name}`, async (window) => {
    tour.server.set({ ...tour.settings, 'workbench.colorTheme': `${theme} Modern` });
    await window.page.setViewportSize({ width: 1100, height: 780 });
    await window.reload();
    await until('hearth is ready', () => isReady());
    await window.openFile('stats.py');
    await window.goTo(2, 5);
    await window.command('hearth: Explain Selection');
    await waitForAnswer(project.explanation);
    await window.openFile('again.py');
    await window.command('hearth: Show Answers');
    await window.focusEditor();
    await window.goTo(project.holeAfter.line, project.holeAfter.column);
    await window.press('Enter');
    await window.waitForGhost();
    await window.shot(`readme-${name}`);
    await window.part(`complete-${name}`, { x: 348, y: 35, width: 640, height: 400 });
    await window.command('File: Revert File');
    await window.closeEditors();
    await window.openFile('values.py');
    await window.selectLines(1, 5);
    await window.command('hearth: Explain Selection');
    await until('its answer', async () => (await lastAnswer()).question === 'Explain values.py:1-5');
    await waitForAnswer(project.explanation);
    await window.focusEditor();
    await window.part(`explain-${name}`, { x: 48, y: 30, width: 660, height: 400 });
    await window.command('hearth: Document Selection');
    await window.page.locator('.tab', { hasText: '(hearth)' }).waitFor();
    const inserted = window.page.locator('.monaco-diff-editor .line-insert').first();
    await inserted.waitFor();
    await window.command('hearth: Show Jobs');
    await window.part(`jobs-${name}`, { x: 48, y: 402, width: 520, height: 240 });
    await window.command('View: Toggle Primary Side Bar Visibility');
    await window.part(`edit-${name}`, { x: 574, y: 30, width: 520, height: 280 });
    await window.command('View: Toggle Primary Side Bar Visibility');
    await window.command('hearth: Discard This Change');
    await window.closeEditors();
    await window.page.setViewportSize({ width: 1280, height: 800 });
  });
}

step('the walkthrough shows pictures, and words as they are meant', async (window) => {
  // A narrow one leaves the pictures out.
  await window.page.setViewportSize({ width: 1600, height: 900 });
  await window.command('hearth: Get Started');
  const steps = window.page.locator('.gettingStartedContainer');
  for (const title of ['Have code explained', 'Write with ghost text', 'Change code', 'Let it work in the background']) {
    await steps.getByText(title, { exact: true }).first().click();
    const picture = steps.locator('.getting-started-media img');
    await until(`the picture of ${title}`, async () => {
      const isLoaded = await picture.evaluate((each) => each.naturalWidth > 0).catch(() => false);
      return isLoaded && picture.isVisible();
    });
    await window.shot(`walkthrough-${title.split(' ')[0].toLowerCase()}`);
  }
  await steps.getByText('Install hearth', { exact: true }).first().click();
  await steps.locator('code', { hasText: './daemon/quickstart' }).first().waitFor();
  assert.doesNotMatch(await steps.innerText(), /[`*]/);
  await window.shot('walkthrough-install');
  await window.closeEditors();
  await window.page.setViewportSize({ width: 1280, height: 800 });
});

step('the daemon was told of no document what it could not place', () => {
  const log = fs.readFileSync(daemon().log, 'utf8');
  assert.deepEqual(log.split('\n').filter((line) => /is not open|out of step/.test(line)), []);
});

// ── Other windows ────────────────────────────────────────────────────────────────────────────

step('a folder that is not trusted is served, too', async () => {
  tour.server.set({ ...tour.settings, 'security.workspace.trust.enabled': true });
  const window = await tour.open();
  await window.page.locator('.statusbar-item', { hasText: 'Restricted Mode' }).waitFor();
  await window.until('hearth is ready', () => isReady(window));
  await window.shot('untrusted');
  await window.close();
  tour.server.set(tour.settings);
});

step('without the program, the walkthrough says what to do', async () => {
  fs.unlinkSync(installed());
  const window = await tour.open();
  await window.until('it is missed', async () => (await window.status()) === 'hearth: not installed');
  const words = window.page.locator('.gettingStartedContainer');
  await words.getByText('Install hearth').first().waitFor();
  assert.match(await words.innerText(), /.\/daemon\/quickstart/);
  await window.shot('missing');
  installHearth();
  await words.getByText('Look for it again').first().click();
  await window.until('hearth is ready', () => isReady(window));
  await window.close();
});
