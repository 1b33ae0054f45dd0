// The words of the status bar.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Jobs } from '../src/jobs.ts';
import type { JobStateParams } from '../src/protocol.ts';
import { statusLine, time, type StatusInput } from '../src/statusText.ts';
import { state } from './making.ts';

function words(more: Partial<StatusInput>, ...states: Partial<JobStateParams>[]): string {
  const jobs = new Jobs();
  for (const each of states) jobs.heardState(state(each));
  return statusLine({
    connection: 'running',
    model: { state: 'ready', name: 'ember' },
    jobs: jobs.all(),
    asking: false,
    completing: 0,
    by: undefined,
    snoozedUntil: 0,
    now: 0,
    ...more,
  }).text;
}

test('the connection', () => {
  assert.equal(words({ connection: 'missing' }), '$(warning) hearth: not installed');
  assert.equal(words({ connection: 'offline' }), '$(debug-disconnect) hearth: offline');
  assert.equal(words({ model: undefined }), '$(loading~spin) hearth: starting');
});

test('the model', () => {
  assert.equal(words({}), '$(flame) hearth');
  const loading = { state: 'loading' as const, percentage: 17, etaMs: 12_000 };
  assert.equal(words({ model: loading }), '$(loading~spin) hearth: loading 17 %, 12 s left');
  assert.equal(words({ model: { state: 'failed', error: 'x' } }), '$(error) hearth: no model');
  const elsewhere = { state: 'ready' as const, name: 'qwen', sentTo: ['gpu.example.org'] };
  assert.equal(words({ model: elsewhere }), '$(flame) hearth: → gpu.example.org');
});

test('jobs: progress with the time left, others behind it', () => {
  assert.equal(
    words({}, { state: 'generating', percentage: 60, etaMs: 300_000 }),
    '$(loading~spin) hearth: generating 60 %, 5 min left',
  );
  assert.equal(
    words({}, { id: 1, state: 'prefilling', percentage: 3 }, { id: 2, state: 'queued' }),
    '$(loading~spin) hearth: reading 3 % (+1)',
  );
  assert.equal(words({}, { firstTokenMs: 3000 }), '$(clock) hearth: queued, 3 s');
});

test('what a person waits for goes before a batch, and another window’s job is not shown', () => {
  const batch = { id: 6, title: 'Edit: add types', size: 2 };
  assert.equal(
    words({}, { id: 1, state: 'generating', percentage: 7 }, { id: 2, state: 'generating', batch }),
    '$(loading~spin) hearth: generating 7 % (+1)',
  );
  const jobs = new Jobs();
  const status = { version: '0', protocol: 3, model: { state: 'ready' as const } };
  jobs.heardStatus({ ...status, jobs: [state({ state: 'generating' })] });
  assert.equal(words({ jobs: jobs.all() }), '$(flame) hearth');
  assert.equal(words({ asking: true }), '$(loading~spin) hearth: asking');
});

test('what waits for a person, in the order of its urgency', () => {
  assert.equal(
    words({}, { id: 1, state: 'waiting' }, { id: 2, state: 'paused' }),
    '$(git-pull-request) hearth: 1 change waits',
  );
  assert.equal(words({}, { state: 'paused' }), '$(debug-pause) hearth: paused');
  assert.equal(words({ snoozedUntil: 60_000 }), '$(bell-slash) hearth: snoozed');
  assert.equal(words({ completing: 1 }), '$(loading~spin) hearth: completing');
});

test('who wrote the completion that shows, behind all that is under way', () => {
  const by = 'qwen at gpu.example.org';
  assert.equal(words({ by }), '$(flame) hearth: by qwen at gpu.example.org');
  assert.equal(words({ by }, { state: 'waiting' }), '$(flame) hearth: by qwen at gpu.example.org');
  assert.equal(words({ by, completing: 1 }), '$(loading~spin) hearth: completing');
  assert.match(words({ by }, { state: 'generating' }), /generating/);
});

test('screen readers hear no names of icons', () => {
  const jobs: StatusInput['jobs'] = [];
  const { spoken } = statusLine({
    connection: 'offline', model: undefined, jobs, asking: false, completing: 0, by: undefined, snoozedUntil: 0, now: 0,
  });
  assert.equal(spoken, 'hearth: offline');
});

test('times', () => {
  assert.deepEqual([1, 1500, 119_000, 180_000, 7_200_000].map(time), ['1 s', '2 s', '119 s', '3 min', '2 h']);
});
