// Steps of the tour: ghost text, and what else goes on in an editor meanwhile.
import assert from 'node:assert/strict';
import * as project from './project.mjs';
import { onDisk, openHole, step, until, waitForAnswer } from './stage.mjs';

// ── Ready ────────────────────────────────────────────────────────────────────────────────────

step('the status bar says that hearth is ready', async (window) => {
  await until('hearth is ready', async () => (await window.status()) === 'hearth');
  await window.shot('ready');
});

// ── Ghost text ───────────────────────────────────────────────────────────────────────────────

step('ghost text comes by itself, and changes nothing', async (window) => {
  await openHole(window);
  const ghost = await window.waitForGhost();
  assert.equal(ghost, project.completion);
  assert.equal((await window.lines())[14].text, ' '.repeat(8));
  assert.deepEqual(await window.cursor(), { line: 15, column: 9 });
  await window.shot('ghost-text');
});

step('ghost text stays, without a flicker, while it is typed along', async (window) => {
  const sights = await window.watchLine(15);
  await window.type(project.completion.slice(0, 4), 120);
  assert.deepEqual(await sights(), [' '.repeat(8) + project.completion]);
});

step('one word of it can be accepted', async (window) => {
  await window.press('Control+ArrowRight');
  await until('the word is there', async () => (await window.lines())[14].text.trim() === 'json.');
  assert.equal((await window.lines())[14].shown.trim(), project.completion);
});

step('Tab accepts the rest, and one undo takes it back', async (window) => {
  await window.press('Tab');
  const line = ' '.repeat(8) + project.completion;
  await until('it is accepted', async () => (await window.lines())[14].text === line);
  await until('the cursor at its end', async () => (await window.cursor()).column === line.length + 1);
  await window.press('Control+z');
  await until('it is taken back', async () => (await window.lines())[14].text.trim() === 'json.');
  await window.press('Control+y', 'Control+s');
  const whole = project.settings.replace('as handle:\n\n', `as handle:\n${line}\n\n`);
  await until('it is on the disk', () => onDisk('settings.py') === whole);
  await window.closeEditors();
});

// ── What else goes on in an editor ───────────────────────────────────────────────────────────

step('the popup of completions wins Tab, and no text comes twice', async (window) => {
  await window.openFile('settings.py');
  await window.goTo(1, 1);
  await window.press('End', 'Enter');
  await window.type('js');
  await window.press('Control+Space');
  const popup = window.page.locator('.suggest-widget.visible .monaco-list-row', { hasText: 'json' });
  await popup.first().waitFor();
  await window.press('Tab');
  await until('the word is there', async () => (await window.lines())[1].text === 'json');
  await window.type('.');
  await window.shot('popup');
  assert.ok(!(await window.lines())[1].shown.includes('json.json'));
  await window.press('Escape', 'Escape');
  await window.closeEditors();
});

step('a snippet keeps its Tab', async (window) => {
  await window.openFile('stats.py');
  await window.goTo(6, 1);
  await window.command('Snippets: Insert Snippet');
  await window.pick('pair');
  await window.type('1');
  await window.press('Tab');
  await window.type('2');
  await until('both places are filled', async () => (await window.lines())[5].text === 'pair(1, 2)');
  await window.closeEditors();
});

step('several cursors type as one', async (window) => {
  await window.openFile('stats.py');
  await window.goTo(2, 5);
  await window.command('Add Cursor Below');
  await window.type('x = 1; ');
  await until('both lines have it', async () => {
    const lines = await window.lines();
    return lines[1].text === '    x = 1; total = 0' && lines[2].text === '    x = 1; for value in values:';
  });
  await window.press('Escape', 'Escape');
  await window.closeEditors();
});

step('a file that is read-only stays as it is, and can be explained', async (window) => {
  await window.openFile('frozen.py');
  await window.goTo(5, 31);
  await window.press('Enter');
  await window.type('x');
  await window.shot('read-only');
  assert.equal(await window.text(), project.average);
  assert.equal(await window.ghost(), '');
  await window.press('Escape');
  await window.selectLines(1, 5);
  await window.command('hearth: Explain Selection');
  await waitForAnswer(project.explanation);
  await window.closeEditors();
});
