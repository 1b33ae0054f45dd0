// Jobs as they are told of: texts, ends, other daemons, the tree.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applies, isUnmade, Jobs, spokenOf, tree } from '../src/jobs.ts';
import { state } from './making.ts';

test('a text grows by its pieces, and the whole of it replaces them', () => {
  const jobs = new Jobs();
  jobs.heardState(state());
  jobs.heardDelta({ id: 7, text: 'Adds ' });
  jobs.heardDelta({ id: 7, text: 'the' });
  jobs.heardState(state({ state: 'generating' }));
  assert.equal(jobs.find(7)?.text, 'Adds the');
  jobs.heardState(state({ state: 'done', text: 'Adds the values.' }));
  assert.equal(jobs.find(7)?.text, 'Adds the values.');
});

test('a piece of a job that nobody told of is nothing', () => {
  const jobs = new Jobs();
  jobs.heardDelta({ id: 3, text: 'x' });
  assert.deepEqual(jobs.all(), []);
});

test('a thought grows beside the text, and is none of it', () => {
  const jobs = new Jobs();
  jobs.heardState(state());
  jobs.heardThought({ id: 7, text: 'Step 1. ' });
  jobs.heardThought({ id: 7, text: 'Step 2. ' });
  jobs.heardThought({ id: 8, text: 'x' });
  jobs.heardState(state({ state: 'done', text: 'Adds.' }));
  assert.equal(jobs.find(7)?.thought, 'Step 1. Step 2. ');
  assert.equal(jobs.find(7)?.text, 'Adds.');
  assert.equal(jobs.find(8), undefined);
  jobs.heardState(state({ state: 'thinking', thought: 'Other' }));
  assert.equal(jobs.find(7)?.thought, 'Other');
  jobs.heardState(state({ state: 'cancelled' }));
  jobs.heardState(state());
  assert.equal(jobs.find(7)?.thought, '');
});

test('what was written stays when a job is stopped', () => {
  const jobs = new Jobs();
  jobs.heardState(state({ state: 'generating' }));
  jobs.heardDelta({ id: 7, text: 'Adds ' });
  jobs.heardState(state({ state: 'cancelled' }));
  assert.equal(jobs.find(7)?.text, 'Adds ');
});

test('a job that is tried again begins with nothing', () => {
  const jobs = new Jobs();
  jobs.heardState(state({ state: 'generating' }));
  jobs.heardDelta({ id: 7, text: 'Adds ' });
  jobs.heardState(state({ state: 'cancelled' }));
  jobs.heardState(state({ state: 'queued' }));
  assert.equal(jobs.find(7)?.text, '');
});

test('code on its way is gone once the change waits, and the change is shown', () => {
  const jobs = new Jobs();
  jobs.heardState(state({ state: 'generating', edits: true }));
  jobs.heardDelta({ id: 7, text: '```python\n' });
  jobs.heardState(state({ state: 'waiting', edits: true, text: '```diff\n+a\n```\n' }));
  assert.equal(jobs.find(7)?.text, '```diff\n+a\n```\n');
  jobs.heardState(state({ state: 'done', edits: true }));
  assert.equal(jobs.find(7)?.text, '');
});

test('another daemon goes on from what was written down', () => {
  const jobs = new Jobs();
  const status = (model: 'loading' | 'ready') => ({
    version: '0',
    protocol: 3,
    model: { state: model },
    jobs: [state({ state: 'generating' })],
  });
  jobs.heardState(state({ state: 'generating' }));
  jobs.heardStatus(status('ready'));
  jobs.heardDelta({ id: 7, text: 'Adds the val' });
  jobs.heardStatus(status('loading'));
  jobs.heardState(state({ state: 'generating', text: 'Adds the' }));
  jobs.heardDelta({ id: 7, text: ' values.' });
  assert.equal(jobs.find(7)?.text, 'Adds the values.');
});

test('a job that the status told of first begins when the session hears of it', () => {
  const jobs = new Jobs();
  const heard: string[] = [];
  jobs.onChange(({ job, before }) => heard.push(`${before} ${job.state.state}`));
  const status = { version: '0', protocol: 3, model: { state: 'ready' as const } };
  jobs.heardStatus({ ...status, jobs: [state({ state: 'queued' })] });
  jobs.heardState(state({ state: 'queued' }));
  jobs.heardState(state({ state: 'done', text: 'Adds.' }));
  assert.deepEqual(heard, ['queued queued', 'undefined queued', 'queued done']);
});

test('a change that the status told of first, also that it waits, is this window’s own with its text', () => {
  const jobs = new Jobs();
  const status = { version: '0', protocol: 3, model: { state: 'ready' as const } };
  jobs.heardStatus({ ...status, jobs: [state({ state: 'queued', edits: true })] });
  assert.equal(jobs.find(7)?.partial, true);
  jobs.heardState(state({ state: 'queued', edits: true }));
  assert.equal(jobs.find(7)?.partial, false, 'nothing was written before the first message');
  jobs.heardStatus({ ...status, jobs: [state({ state: 'waiting', edits: true })] });
  assert.equal(jobs.find(7)?.state.state, 'queued', 'its own message brings the change');
  jobs.heardState(state({ state: 'waiting', edits: true, text: '```diff' }));
  assert.equal(jobs.find(7)?.text, '```diff');
});

test('jobs of other sessions are listed, without their text, and get it later', () => {
  const jobs = new Jobs();
  const heard: string[] = [];
  jobs.onChange(({ job, before }) => heard.push(`${before} ${job.state.state}`));
  const status = { version: '0', protocol: 3, model: { state: 'ready' as const } };
  jobs.heardStatus({ ...status, jobs: [state({ state: 'done' })] });
  assert.deepEqual(heard, ['done done'], 'nobody is to be told that it ended');
  assert.equal(jobs.find(7)?.partial, true);
  jobs.heardText(7, { id: 7, text: 'Adds.' });
  assert.equal(jobs.find(7)?.text, 'Adds.');
  jobs.heardText(9, { ...state({ id: 9, state: 'done' }), text: 'Old.' });
  assert.equal(jobs.find(9)?.text, 'Old.');
});

test('another window’s job is followed by hearth/status until it ends, and is not stopped here', () => {
  const jobs = new Jobs();
  const status = { version: '0', protocol: 3, model: { state: 'ready' as const } };
  jobs.heardStatus({ ...status, jobs: [state({ state: 'generating', percentage: 3 })] });
  assert.ok(jobs.someAreElsewhere());
  assert.deepEqual(jobs.running(), []);
  jobs.heardStatus({ ...status, jobs: [state({ state: 'waiting', percentage: 100 })] });
  assert.equal(jobs.find(7)?.state.state, 'waiting');
  jobs.heardStatus({ ...status, jobs: [state({ state: 'done' })] });
  assert.ok(!jobs.someAreElsewhere());
});

test('a job that the daemon does not know any more is lost', () => {
  const jobs = new Jobs();
  jobs.heardState(state({ state: 'generating' }));
  jobs.heardStatus({ version: '0', protocol: 3, model: { state: 'ready' }, jobs: [] });
  assert.equal(jobs.find(7)?.state.state, 'failed');
});

test('hearth/status has no ranges: the one that was told stays', () => {
  const jobs = new Jobs();
  const range = { start: { line: 1, character: 0 }, end: { line: 2, character: 0 } };
  jobs.heardState(state({ state: 'generating', range }));
  const status = { version: '0', protocol: 3, model: { state: 'ready' as const } };
  jobs.heardStatus({ ...status, jobs: [state({ state: 'paused' })] });
  assert.deepEqual(jobs.find(7)?.state.range, range);
});

test('what can be said of a job', () => {
  assert.ok(applies('pause', 'generating') && !applies('pause', 'paused'));
  assert.ok(applies('resume', 'paused') && !applies('resume', 'done'));
  assert.ok(applies('cancel', 'waiting') && !applies('cancel', 'cancelled'));
  assert.ok(applies('retry', 'failed') && !applies('retry', 'done'));
  assert.ok(applies('apply', 'waiting') && !applies('apply', 'generating'));
});

test('the tree groups by what a person can do, the youngest first, batches together', () => {
  const jobs = new Jobs();
  const batch = { id: 6, title: 'Edit: add types', size: 2 };
  jobs.heardState(state({ id: 1, state: 'done' }));
  jobs.heardState(state({ id: 2, state: 'waiting', batch }));
  jobs.heardState(state({ id: 3, state: 'waiting', batch }));
  jobs.heardState(state({ id: 4, state: 'generating' }));
  jobs.heardState(state({ id: 5, state: 'done' }));
  const shown = tree(jobs.all()).map(({ name, children }) => [
    name,
    children.map((child) => (child.kind === 'job' ? child.job.id : [child.id, child.jobs.length])),
  ]);
  assert.deepEqual(shown, [
    ['running', [4]],
    ['waiting', [[6, 2]]],
    ['done', [5, 1]],
  ]);
  assert.equal(tree(jobs.all(), 1).at(-1)?.children.length, 1);
});

test('a screen reader hears what a row shows by its place, its icon and in grey', () => {
  const jobs = new Jobs();
  const batch = { id: 6, title: 'Document 12 files', size: 12 };
  jobs.heardState(state({ id: 1, state: 'generating', title: 'Explain f', message: 'generating' }));
  jobs.heardState(state({ id: 2, state: 'waiting', batch }));
  jobs.heardState(state({ id: 3, state: 'waiting', batch }));
  const [running, waiting] = tree(jobs.all());
  assert.ok(running && waiting);
  assert.equal(spokenOf(running), 'Running, 1 job');
  assert.equal(spokenOf(running.children[0]!), 'Explain f, generating');
  assert.equal(spokenOf(waiting), 'Waiting for review, 2 jobs');
  assert.equal(spokenOf(waiting.children[0]!), 'Document 12 files, a batch: 2 of 12 files waiting for review');
});

test('a change that could not be made is told of; one that was made or dropped is not', () => {
  const told = (text: string, more: Parameters<typeof state>[0] = {}): boolean => {
    const jobs = new Jobs();
    let unmade = false;
    jobs.onChange((change) => (unmade ||= isUnmade(change)));
    jobs.heardState(state({ edits: true, state: 'waiting', text: 'the change' }));
    jobs.heardState(state({ edits: true, state: 'done', text, ...more }));
    return unmade;
  };
  assert.equal(told('Nothing was changed: the code has changed. This is the change:\n\n…'), true);
  assert.equal(told(''), false);
  assert.equal(told('Nothing was changed: it was not wanted.\n\n…'), false);
  assert.equal(told('Words.', { edits: false }), false);
  assert.equal(told('Words.', { batch: { id: 6, title: 'Edit', size: 2 } }), false);
});
