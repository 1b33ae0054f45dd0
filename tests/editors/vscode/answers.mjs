// Steps of the tour: answers, whose words they were asked for in, the time that is left, stopping.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as project from './project.mjs';
import { daemon, isReady, lastAnswer, step, tour, until, waitForAnswer } from './stage.mjs';

// ── Answers ──────────────────────────────────────────────────────────────────────────────────

step('an explanation of the selection streams into the view of answers', async (window) => {
  await window.openFile('stats.py');
  await window.selectLines(1, 5);
  await window.command('hearth: Show Answers');
  const page = await window.webview('#turns');
  await page.evaluate(() => {
    window.growth = new Set();
    new MutationObserver(() => {
      window.growth.add(document.querySelector('.answer')?.innerText.length ?? 0);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  // The embedded checkpoint is quick: on a busy machine its words may come all at once.
  let growth = 0;
  for (let tries = 0; tries < 5 && growth <= 2; tries++) {
    const before = (await lastAnswer()).job;
    await window.focusEditor();
    await window.command('hearth: Explain Selection');
    await until('another answer', async () => {
      const { job } = await lastAnswer();
      return job !== before && Number(job) > 0;
    });
    await waitForAnswer(project.explanation);
    growth = await page.evaluate(() => window.growth.size);
  }
  assert.ok(growth > 2, 'nothing was seen between none of it and all of it');
  assert.equal(await window.text(), project.average);
  await window.shot('answer');
});

step('a question of one’s own goes on from it', async (window) => {
  const page = await window.webview('#question');
  await page.locator('#question').fill('What does this code do?');
  await page.locator('#question').press('Enter');
  await until('the second answer', async () => {
    const last = await lastAnswer();
    return last.count === 2 && last.state === 'done' && last.text !== '';
  });
  await window.shot('follow-up');
});

step('a question that a person declines shows that', async (window) => {
  await window.openFile('.env');
  await window.selectLines(1, 1);
  await window.command('hearth: Explain Selection');
  await window.waitForNotification('looks like a file of secrets');
  await until('it is asked', async () => (await lastAnswer()).message === 'asked');
  await window.pressInNotification('looks like a file of secrets', 'Cancel');
  await until('it is declined', async () => (await lastAnswer()).message === 'Declined: .env was not shown to the model.');
  await until('hearth is ready', () => isReady());
  await window.shot('declined');
  await window.closeEditors();
});

step('prompts of the team are shown, applied, and asked about again once they have changed', async (window) => {
  project.writePrompts(tour.folder, {
    'explain.md': project.explainWords,
    'purpose.md': `# Its purpose\n\n${project.explainWords}`,
  });
  await window.command("hearth: Apply the Team's Prompts");
  const question = 'Apply the 2 prompts of the team in project, as shown?';
  await window.page.locator('.quick-input-widget .monaco-list-row', { hasText: question }).waitFor();
  const shown = await window.text();
  for (const words of ['explain.md: the words', 'purpose.md: “Its purpose”', 'Explain what this code does.']) {
    assert.ok(shown.includes(words), shown);
  }
  await window.shot('team-prompts');
  const said = await window.watchStatusBar();
  await window.pick(question);
  await until('they are in use', async () => (await said()).some((text) => text.includes('prompts are in use')));

  await window.openFile('stats.py');
  await window.selectLines(1, 5);
  await window.command('hearth: Explain Selection');
  await waitForAnswer(project.explanation);
  assert.match((await lastAnswer()).message, /asked in the team’s words/);
  await window.shot('team-answer');
  await window.focusEditor();
  await window.command('hearth: Choose an Action');
  await window.pick('Its purpose (the team');
  await until('the team’s own action', async () => (await lastAnswer()).question === 'Its purpose: stats.py:1-5');
  await waitForAnswer(project.explanation);

  project.writePrompts(tour.folder, { 'explain.md': 'Say something else.\n' });
  await window.focusEditor();
  await window.command('hearth: Explain Selection');
  await until('another answer', async () => (await lastAnswer()).question === 'Explain stats.py:1-5');
  await waitForAnswer(project.explanation);
  assert.doesNotMatch((await lastAnswer()).message, /team/);
  await window.waitForNotification('the prompts of the team in project have changed');
  await window.shot('team-changed');
  await window.clearNotifications();
  await window.closeEditors();
});

step('while it generates, the time that is left shows in the status bar and below the answer', async (window) => {
  await window.openFile('totals.py');
  await window.command('hearth: Show Answers');
  const page = await window.webview('#turns');
  await page.evaluate(() => {
    window.messages = new Set();
    new MutationObserver(() => {
      const last = document.querySelector('#turns article:last-of-type');
      window.messages.add(`${last?.dataset.state}: ${last?.querySelector('.message')?.textContent}`);
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  // On a fast machine it may come at once: then another one is asked for.
  let [inBar, inView] = [[], []];
  for (let tries = 0; tries < 8 && (inBar.length === 0 || inView.length === 0); tries++) {
    const before = (await lastAnswer()).job;
    await window.focusEditor();
    await window.selectLines(1 + 2 * tries, 121);
    const watched = await window.watchStatus();
    await window.command('hearth: Explain Selection');
    await until('another answer', async () => {
      const { job, state } = await lastAnswer();
      return job !== before && state === 'done';
    });
    const texts = (await watched()).texts.map(({ text }) => text);
    inBar = texts.filter((text) => /^hearth: generating \d+ %, \d+ (s|min) left$/.test(text));
    inView = await page.evaluate(() => [...window.messages].filter((text) => /^generating: .* (s|min) left/.test(text)));
  }
  assert.ok(inBar.length > 0, 'the status bar has no time that is left');
  assert.ok(inView.length > 0, 'the view of answers has no time that is left');
  console.log(`        ${inBar.at(-1)}; ${inView.at(-1)}`);
  await window.closeEditors();
});

// Whether an answer is stopped by Escape. The model is quicker than a browser and this test: the daemon
// runs for moments, and stands still while its state is looked at and the key is pressed. False: what
// it had written before it stood still was on its way here, and was all of the answer.
async function stopsByEscape(window) {
  const before = (await lastAnswer()).job;
  const { pid } = daemon();
  process.kill(pid, 'SIGSTOP');
  try {
    await window.selectLines(1, 121);
    await window.command('hearth: Explain Selection');
    await until('it is under way', async () => {
      process.kill(pid, 'SIGCONT');
      await sleep(10);
      process.kill(pid, 'SIGSTOP');
      await sleep(100);
      const answer = await lastAnswer();
      const isWhole = answer.job !== before && answer.state === 'done';
      return isWhole || /reading|generating/.test(await window.status());
    });
    await window.press('Escape');
    // The key has a way to go, through the window, the extension and the proxy, until the daemon goes on.
    await sleep(500);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  const { state } = await until('it has ended', async () => {
    const answer = await lastAnswer();
    return (answer.state === 'cancelled' || answer.state === 'done') && answer.job !== before ? answer : undefined;
  });
  return state === 'cancelled';
}

step('Escape stops a generation, and what is written stays', async (window) => {
  await window.openFile('totals.py');
  await window.command('hearth: Show Answers');
  await window.focusEditor();
  let isStopped = false;
  for (let tries = 0; tries < 5 && !isStopped; tries++) isStopped = await stopsByEscape(window);
  assert.ok(isStopped, 'five answers went on to their end');
  assert.equal(await window.status(), 'hearth');
  await window.shot('stopped');
  await window.closeEditors();
});
