import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isInTeamWords, question, shownText, stateOf, type TeamFolder } from '../src/teamPromptsText.ts';

const folder: TeamFolder = {
  folder: 'file:///p',
  hash: 'aa',
  confirmed: '',
  prompts: [
    { name: 'explain', path: '.hearth/prompts/explain.md', action: 'explain', text: 'Explain {subject}.' },
    { name: 'log.edit', path: '.hearth/prompts/log.edit.md', action: 'edit', title: 'Add logging', text: 'Like:\n```\nx\n```' },
  ],
  ignored: ['.hearth/prompts/X.md is not used: its name'],
};

test('prompts are new, changed, in use, or not there', () => {
  assert.equal(stateOf(folder), 'new');
  assert.equal(stateOf({ ...folder, confirmed: 'aa' }), 'used');
  assert.equal(stateOf({ ...folder, confirmed: 'bb' }), 'changed');
  assert.equal(stateOf({ ...folder, hash: '', confirmed: 'bb' }), 'none');
});

test('a person is asked about just this, and told where a workspace is not trusted', () => {
  assert.equal(question('p', folder, true), 'Apply the 2 prompts of the team in p, as shown?');
  assert.match(question('p', folder, false), /You have not said that you trust this workspace/);
  assert.match(question('p', { ...folder, confirmed: 'bb' }, true), /has changed since you applied/);
  assert.equal(question('p', { ...folder, confirmed: 'aa' }, true), 'The 2 prompts of the team in p are in use.');
});

test('all of their text is shown, and none of it can pass for something else', () => {
  const text = shownText('p', folder);
  for (const { path, text: prompt } of folder.prompts) assert.ok(text.includes(path) && text.includes(prompt));
  assert.ok(text.includes('\n````\nLike:\n```\nx\n```\n````\n'), text);
  assert.match(text, /explain\.md: the words of the action “explain”/);
  assert.match(text, /log\.edit\.md: “Add logging”, changes code/);
  assert.match(text, /Content: aa/);
  assert.match(text, /## Not used\n\n- \.hearth\/prompts\/X\.md/);
});

test('a title says whose words an answer was asked for in', () => {
  assert.ok(isInTeamWords("Explain average (the team's words)"));
  assert.ok(!isInTeamWords('Explain average'));
});
