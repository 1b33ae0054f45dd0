// What the extension relies on, said to the real server. Skipped where HEARTH_UNDER_TEST names none.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { isUnmade, type Job } from '../src/jobs.ts';
import { diffIn } from '../src/markdown.ts';
import { applyPatch, parsePatch } from '../src/patch.ts';
import type { JobState } from '../src/protocol.ts';
import { askJson } from '../src/tool.ts';
import { made, Peer, program } from './peer.ts';

const skip = program === '' ? 'HEARTH_UNDER_TEST names no program' : false;
const stats = 'import sys\n\n\ndef average(values):\n    return sum(values) / len(values)\n';
const all = { start: { line: 3, character: 0 }, end: { line: 4, character: 36 } };
// Long enough to be read for some time.
const long = `def totals(values):\n    total = 0\n${Array.from(
  { length: 60 },
  (_, i) => `    total += values[${i}] * ${i * i}\n`,
).join('')}    return total\n`;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-peer-'));
const uriOf = (name: string): string => pathToFileURL(path.join(folder, name)).href;
const uri = uriOf('stats.py');
let peer: Peer;

before(async () => {
  if (skip) return;
  fs.writeFileSync(path.join(folder, 'stats.py'), stats);
  peer = new Peer();
  await peer.initialize(pathToFileURL(folder).href);
  await peer.open(uri, stats);
  await peer.until(() => peer.status?.model.state === 'ready');
});
after(async () => {
  if (!skip) {
    await peer.end();
    execFileSync(program, ['stop']);
  }
  fs.rmSync(folder, { recursive: true });
});

const whole = { start: { line: 0, character: 0 }, end: { line: 62, character: 16 } };
let unreads = 0;
// A document of which no cache knows anything.
async function unread(): Promise<string> {
  unreads += 1;
  const name = uriOf(`totals${unreads}.py`);
  await peer.open(name, long.replaceAll('values', `values${unreads}`).replace('totals', `totals${unreads}`));
  return name;
}

test('the server grants what the extension needs', { skip }, () => {
  assert.deepEqual(peer.granted, ['inlineCompletion', 'jobs', 'status', 'thoughts']);
  const commands = peer.capabilities.executeCommandProvider?.commands ?? [];
  for (const name of ['explain', 'ask', 'edit', 'review', 'document', 'fix', 'tests', 'commit-message', 'chat']) {
    assert.ok(commands.includes(`hearth.server.${name}`), name);
  }
  for (const name of ['followUp', 'pause', 'resume', 'cancel', 'retry', 'apply', 'dismiss', 'showPrompt', 'pin', 'snooze', 'runOnFiles']) {
    assert.ok(commands.includes(`hearth.session.${name}`), name);
  }
});

test('an explanation streams, and the pieces are the whole', { skip }, async () => {
  const pieces: string[] = [];
  // On a busy machine all of it may come at once: then it is asked for again.
  while (pieces.length < 2) {
    pieces.length = 0;
    const stop = peer.jobs.onChange(({ delta }) => delta !== undefined && pieces.push(delta));
    const id = await peer.action('explain', { uri, range: all });
    const job = await peer.job(id, 'done');
    stop();
    assert.ok(job.text.length > 20, job.text);
    assert.equal(pieces.join(''), job.text);
    assert.match(job.state.title, /average/);
  }
});

// A job that `verb` came to at `moment` (or right behind it); again where it was over before.
async function told(verb: 'cancel' | 'pause', moment: JobState[], state: JobState): Promise<Job> {
  for (;;) {
    const id = await peer.action('explain', { uri: await unread(), range: whole });
    await peer.job(id, ...moment, 'done');
    await peer.execute(`hearth.session.${verb}`, { job: id }).catch(() => undefined);
    const job = await peer.job(id, state, 'done');
    if (job.state.state === state) return job;
  }
}

test('a job that is stopped keeps its text, and can be asked again', { skip }, async () => {
  const { id, text } = await told('cancel', ['generating'], 'cancelled');
  await peer.execute('hearth.session.retry', { job: id });
  assert.ok((await peer.job(id, 'done')).text.startsWith(text));
});

test('a paused job goes on', { skip }, async () => {
  const { id } = await told('pause', ['queued', 'prefilling', 'generating'], 'paused');
  await peer.execute('hearth.session.resume', { job: id });
  assert.notEqual((await peer.job(id, 'done')).text, '');
});

test('a change waits, shows against the text as it is now, and is made for it', { skip }, async () => {
  const id = await peer.action('document', { uri, range: all, review: true });
  const job = await peer.job(id, 'waiting');
  assert.equal(peer.applied.length, 0, 'nothing is made before a person says so');
  const hunks = parsePatch(diffIn(job.text) ?? '').flatMap((file) => file.hunks);
  const now = `# typed meanwhile\n${stats}\nprint(average([1]))\n`;
  await peer.change(uri, now, 2);
  const shown = applyPatch(now, hunks);
  assert.ok(shown !== undefined && shown !== now, job.text);
  await peer.execute('hearth.session.apply', { job: id });
  await peer.job(id, 'done');
  const [change] = peer.applied[0]?.documentChanges ?? [];
  assert.equal(change?.textDocument.version, 2);
  assert.equal(made(now, change?.edits ?? []), shown);
  await peer.change(uri, stats, 3);
});

test('a change that is dropped is known for one by its words', { skip }, async () => {
  const count = peer.applied.length;
  let unmade = 0;
  const stop = peer.jobs.onChange((change) => (unmade += isUnmade(change) ? 1 : 0));
  const id = await peer.action('document', { uri, range: all, review: true });
  await peer.job(id, 'waiting');
  await peer.execute('hearth.session.dismiss', { job: id });
  assert.notEqual((await peer.job(id, 'done')).text, '');
  stop();
  assert.deepEqual([unmade, peer.applied.length - count], [0, 0]);
});

test('a conversation begins without a document, with what is attached, and goes on', { skip }, async () => {
  const attached = [{ uri, range: all }];
  const id = await peer.action('chat', { instruction: 'What does average do?', attached });
  assert.notEqual((await peer.job(id, 'done')).text, '');
  const next = await peer.begin('ask', 'hearth.session.followUp', { job: id, question: 'Why?', attached });
  await peer.job(next, 'done');
  const { text } = await askJson(program, 'jobs', 'show', String(id));
  assert.equal(text, peer.jobs.find(id)?.text, 'the program tells of it as the server does');
});

test('a commit message for a diff', { skip }, async () => {
  const diff = '--- a/n.py\n+++ b/n.py\n@@ -1 +1 @@\n-n = 0\n+n = 1\n';
  const id = await peer.action('commit-message', { diff });
  assert.notEqual((await peer.job(id, 'done')).text, '');
  await assert.rejects(peer.action('commit-message', { diff: ' ' }), /empty/);
});

test('many files: a batch whose changes wait together', { skip }, async () => {
  const { batch, files } = await peer.execute<{ batch: number; files: number }>(
    'hearth.session.runOnFiles', { action: 'document', files: ['*.py'] },
  );
  assert.equal(files, 1);
  const over = ['waiting', 'done', 'failed'];
  const job = await peer.until(() =>
    peer.jobs.all().find(({ state }) => state.batch?.id === batch && over.includes(state.state)),
  );
  assert.equal(job.state.batch?.size, 1);
});

test('ghost text, unless the settings say otherwise', { skip }, async () => {
  const other = uriOf('ghost.py');
  await peer.open(other, 'def is_even(n):\n    return ');
  const ask = (): Promise<{ items?: unknown[] } | unknown[] | null> =>
    peer.request('textDocument/inlineCompletion', {
      textDocument: { uri: other },
      position: { line: 1, character: 11 },
      context: { triggerKind: 2 },
    });
  const told = await ask();
  const items = Array.isArray(told) ? told : (told?.items ?? []);
  assert.equal(items.length, 1);
  await peer.notify('workspace/didChangeConfiguration', {
    settings: { hearth: { inline: { automatic: false } } },
  });
  const off = await ask();
  assert.equal((Array.isArray(off) ? off : (off?.items ?? [])).length, 0);
  await peer.notify('workspace/didChangeConfiguration', { settings: { hearth: {} } });
});

test('the daemon is killed: it is said once, and the job goes on', { skip }, async () => {
  const { pid } = await askJson(program, 'status');
  const id = await peer.action('explain', { uri: await unread(), range: whole });
  const said = peer.messages.length;
  process.kill(pid as number, 'SIGKILL');
  const job = await peer.job(id, 'done');
  assert.match(job.text, /\w+/);
  await peer.until(() => peer.status?.model.state === 'ready' || undefined);
  assert.ok(peer.messages.length - said <= 1, peer.messages.slice(said).join('\n'));
});
