// Steps of the tour: changes, jobs, a commit message, a daemon that is killed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import * as project from './project.mjs';
import { daemon, isReady, lastAnswer, onDisk, step, tour, until, waitForAnswer } from './stage.mjs';

const { env } = process;
const run = promisify(execFile);

// ── Changes ──────────────────────────────────────────────────────────────────────────────────

step('a change is shown beside the file, follows what is typed, and is made', async (window) => {
  await window.openFile('stats.py');
  await window.selectLines(1, 5);
  await window.command('hearth: Document Selection');
  await window.page.locator('.tab', { hasText: '(hearth)' }).waitFor();
  await until('the change is shown', async () =>
    (await window.page.locator('.diff-editor .line-insert, .monaco-diff-editor .line-insert').count()) > 0,
  );
  assert.equal(onDisk('stats.py'), project.average);
  await window.shot('preview');
  await window.focusEditor();
  await window.goTo(1, 1);
  const said = await window.watchStatusBar();
  await window.type('# Numbers', 250); // slowly: the change does not fit before the line ends
  await window.press('Enter');
  await window.shot('preview-of-changed-text');
  assert.ok(!(await said()).some((text) => text.includes('does not fit')), 'it was told of what passes');
  await window.command('hearth: Apply This Change');
  await until('the change is made', async () => /"""/.test(await window.text()));
  const lines = (await window.text()).split('\n');
  assert.equal(lines[0], '# Numbers');
  await window.focusEditor();
  await window.press('Control+z');
  await until('one step takes it back', async () => !/"""/.test(await window.text()));
  await window.press('Control+y', 'Control+s');
  await until('it is on the disk', () => /^# Numbers\ndef average[^]*"""/.test(onDisk('stats.py')));
  await window.shot('applied');
  await window.closeEditors();
});

step('a change that is dropped opens nothing', async (window) => {
  await window.openFile('values.py');
  await window.command('hearth: Show Answers');
  const before = await until('its answers are there', async () => {
    const last = await lastAnswer();
    return last.count > 0 && last;
  });
  await window.focusEditor();
  await window.selectLines(1, 5);
  await window.command('hearth: Document Selection');
  const preview = window.page.locator('.tab', { hasText: '(hearth)' });
  await preview.waitFor();
  await window.command('hearth: Discard This Change');
  await until('the preview is closed', async () => (await preview.count()) === 0);
  await until('hearth is ready', () => isReady());
  assert.deepEqual(await lastAnswer(), before);
  await window.focusEditor();
  assert.equal(await window.text(), project.average);
  await window.shot('dropped');
  await window.closeEditors();
});

// ── Jobs ─────────────────────────────────────────────────────────────────────────────────────

const jobs = '.pane:has(.pane-header[aria-label^="Jobs"])';

// As soon as there is one: the embedded checkpoint is quick. False: all of it was done before.
async function pauseTheBatch() {
  for (let tries = 0; tries < 1000; tries++) {
    const status = await run(env.HEARTH_UNDER_TEST, ['status', '--json']).catch(() => ({ stdout: '{}' }));
    const batch = JSON.parse(status.stdout).jobs?.find((job) => job.batch)?.batch.id;
    if (batch === undefined) continue;
    return run(env.HEARTH_UNDER_TEST, ['jobs', 'pause', String(batch)]).then(
      () => true,
      () => false,
    );
  }
  return false;
}

step('a change of many files is paused, resumed, reviewed and made', async (window) => {
  await window.command('hearth: Run on Matching Files');
  await window.answer('batch/*.py');
  const pausing = pauseTheBatch();
  await window.pick('Document');
  if (await pausing) {
    await until('it is paused', async () => (await window.rows(jobs)).includes('Paused'));
    await window.shot('jobs-paused');
    await window.pressInRow(jobs, 'Document 12 files', 'Resume');
  }
  await until('all wait', async () => {
    const rows = await window.rows(jobs);
    return rows.includes('Waiting for review') && !rows.some((row) => /^(Running|Queued|Paused)$/.test(row));
  });
  await window.shot('jobs-waiting');
  const spoken = '[aria-label^="Document 12 files, a batch: 12 of 12 files waiting for review"]';
  await window.page.locator(`${jobs} .monaco-list-row${spoken}`).first().waitFor();
  await window.pressInRow(jobs, 'Document 12 files', 'Preview the Change');
  await window.page.locator('.multiDiffEditor, .multi-diff-root-floating-menu, .monaco-component.multiDiffEditor').first().waitFor();
  await window.shot('jobs-review');
  const marks = window.page.locator('.multiDiffEntry .status');
  await marks.first().waitFor({ state: 'attached' });
  assert.deepEqual([...new Set(await marks.allInnerTexts())], [''], 'a change of a file is no new name for it');
  assert.equal(onDisk('batch/part1.py'), project.average);
  await window.pressInRow(jobs, 'Document 12 files', 'Apply the Change');
  await until('nothing waits', async () => !(await window.rows(jobs)).includes('Waiting for review'));
  // What is said of the jobs may be there before the last of the edits.
  await until('all are on the disk', async () => {
    await window.command('File: Save All Files');
    return project.batch.every((name) => onDisk(name).includes('"""'));
  });
  await window.shot('jobs-made');
  await window.closeEditors();
});

step('a commit message is written for what is staged', async (window) => {
  fs.writeFileSync(path.join(tour.folder, 'frozen.py'), project.average.replace('average', 'mean'));
  project.stage(tour.folder, 'frozen.py');
  await window.press('Control+Shift+g');
  await window.command('hearth: Write a Commit Message');
  const box = window.page.locator('.scm-editor .view-line').first();
  await until('a message', async () => (await box.innerText()).trim() !== '');
  await until('hearth is ready', () => isReady());
  await window.shot('commit-message');
});

step('a daemon that is killed is told of once, and its answer becomes whole', async (window) => {
  await window.clearNotifications();
  await window.openFile('stats.py');
  await window.command('hearth: Explain Selection');
  process.kill(daemon().pid, 'SIGKILL');
  await window.waitForNotification('started again');
  await waitForAnswer(project.explanation);
  const said = (await window.notifications()).filter((text) => text.includes('started again'));
  assert.equal(said.length, 1, `what was said: ${said}`);
  await until('hearth is ready', () => isReady());
  await window.shot('started-again');
  await window.clearNotifications();
  await window.closeEditors();
});
