// Conversations, settings, pending commands, what is worth a notification.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conversations, titleOf, type Conversation } from '../src/conversations.ts';
import { Jobs } from '../src/jobs.ts';
import { isNotable } from '../src/notable.ts';
import { Declined, PendingJobs } from '../src/pendingJobs.ts';
import type { JobState } from '../src/protocol.ts';
import { serverSettings } from '../src/serverSettings.ts';
import { state } from './making.ts';

test('conversations outlive their window, the last one first', () => {
  let saved: unknown;
  const save = (all: Conversation[]) => (saved = JSON.parse(JSON.stringify(all)));
  const first = new Conversations(undefined, save);
  const one = first.begin({ question: 'Why?\nBecause.', attached: [], job: 7 });
  first.begin({ question: 'What?', attached: [] });
  first.add(one, { question: 'And then?', attached: [], job: 9 });
  const again = new Conversations(saved, save);
  assert.deepEqual(again.list().map(({ title }) => title), ['Why?', 'What?']);
  assert.equal(again.ofJob(9)?.id, one.id);
  assert.match(again.list()[1]?.turns[0]?.error ?? '', /closed/);
  assert.equal(again.begin({ question: 'New', attached: [] }).id, 3);
});

test('what was saved is checked', () => {
  const bad = [null, 1, { id: 1 }, { id: 1, title: 'a', turns: [{}] }];
  assert.deepEqual(new Conversations(bad, () => undefined).list(), []);
});

test('a title is one short line, cut between characters', () => {
  assert.equal(titleOf('  a\nb'), 'a');
  assert.equal([...titleOf('😀'.repeat(70))].length, 60);
});

test('only what a person has set is told, and nothing that is no setting', () => {
  const set: Record<string, unknown> = { 'inline.automatic': false, 'off.paths': ['*.min.js'] };
  assert.deepEqual(serverSettings((key) => set[key]), {
    inline: { automatic: false },
    off: { paths: ['*.min.js'] },
  });
  assert.deepEqual(serverSettings((key) => (key === 'off.paths' ? [1] : undefined)), {});
});

test('a command’s job is the first new one of its action', async () => {
  const pending = new PendingJobs();
  const asked = pending.begin('explain', Promise.resolve(null));
  pending.began(state({ id: 4, action: 'edit' }));
  assert.equal(pending.began(state({ id: 5 })), false);
  assert.equal(await asked, 5);
  const unwanted = pending.begin('explain', Promise.resolve(null));
  pending.stop();
  assert.equal(pending.any, false);
  assert.ok(pending.began(state({ id: 6 })), 'it was stopped before it was there');
  assert.equal(await unwanted, 6);
  await assert.rejects(pending.begin('ask', Promise.reject(new Error('no'))), /no/);
});

test('a command that a person declined has no job, and the next one has its own', async () => {
  const pending = new PendingJobs();
  const declined = { declined: '.env was not shown to the model' };
  await assert.rejects(pending.begin('explain', Promise.resolve(declined)), (error: unknown) => {
    assert.ok(error instanceof Declined);
    assert.equal(error.message, 'Declined: .env was not shown to the model.');
    return true;
  });
  assert.equal(pending.any, false);
  const next = pending.begin('explain', Promise.resolve(null));
  pending.began(state({ id: 7 }));
  assert.equal(await next, 7);
});

test('a person elsewhere is told of the end of what took long', () => {
  const notable = (now: JobState, before: JobState, elsewhere = true, took = 30_000): boolean => {
    const jobs = new Jobs(() => 0);
    jobs.heardState(state({ state: now }));
    const job = jobs.find(7);
    assert.ok(job);
    return isNotable({ job, before, now: took, after: 20_000, elsewhere });
  };
  assert.ok(notable('done', 'generating'));
  assert.ok(notable('waiting', 'generating'));
  assert.ok(!notable('done', 'generating', false), 'the window has the focus');
  assert.ok(!notable('done', 'generating', true, 5_000), 'it was short');
  assert.ok(!notable('cancelled', 'generating') && !notable('generating', 'prefilling'));
  assert.ok(!notable('done', 'waiting') && !notable('done', 'done'), 'it is no news');
});
