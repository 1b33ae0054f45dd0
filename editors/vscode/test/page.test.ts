// The page of answers: what it may load, and what is believed of what it says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answersHtml } from '../src/answersHtml.ts';
import { readFromPage } from '../src/pageMessages.ts';

test('nothing but its own script and style can be loaded', () => {
  const html = answersHtml({ nonce: 'n0', script: 's.js', style: 's.css', source: 'vscode-resource:' });
  assert.match(html, /default-src 'none'; style-src vscode-resource:; script-src 'nonce-n0'"/);
  assert.equal([...html.matchAll(/<script/g)].length, 1);
  assert.doesNotMatch(html, /https?:|unsafe|style=|onclick/);
});

test('messages that the page sends are read', () => {
  assert.deepEqual(readFromPage({ type: 'ask', text: 'Why?', more: 1 }), { type: 'ask', text: 'Why?' });
  assert.deepEqual(readFromPage({ type: 'job', verb: 'cancel', job: 7 }), {
    type: 'job', verb: 'cancel', job: 7,
  });
  assert.deepEqual(readFromPage({ type: 'block', what: 'copy', job: 7, block: 0 }), {
    type: 'block', what: 'copy', job: 7, block: 0,
  });
});

test('anything else is not believed', () => {
  for (const bad of [
    undefined, null, 'ready', {}, { type: 'eval' }, { type: 'ask', text: ' ' }, { type: 'ask' },
    { type: 'ask', text: 'a'.repeat(100_001) }, { type: 'job', verb: 'forget', job: 7 },
    { type: 'job', verb: 'toString', job: 7 }, { type: 'job', verb: 'cancel', job: '7' },
    { type: 'block', what: 'copy', job: 7, block: -1 }, { type: 'open', conversation: 1.5 },
  ]) {
    assert.equal(readFromPage(bad), undefined, JSON.stringify(bad)?.slice(0, 80));
  }
});
