// A model's Markdown: nothing of it is trusted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeBlocks, diffIn, plainMessage, render } from '../src/markdown.ts';

test('HTML is text', () => {
  const html = render('<img src=x onerror=alert(1)> <script>alert(1)</script>\n\n<b>x</b>');
  assert.doesNotMatch(html, /<(img|script|b)[ >]/);
  assert.match(html, /&lt;script&gt;/);
});

test('no image, no link but of the web', () => {
  assert.doesNotMatch(render('![a](https://example.org/a.png)'), /<img/);
  assert.doesNotMatch(render('[a](javascript:alert(1)) [b](command:hearth.stop) [c](file:///etc)'), /href/);
  assert.match(render('[a](https://example.org)'), /<a href="https:\/\/example.org"/);
});

test('a fence’s words cannot leave their attribute', () => {
  const html = render('```"><script>alert(1)</script>\nx\n```\n');
  assert.doesNotMatch(html, /<script/);
  assert.match(render('```c++\nx\n```\n'), /aria-label="c\+\+"/);
});

test('code blocks are numbered alike in the page and in the text, nested ones as well', () => {
  const text = 'a\n\n```python\nx = 1\n```\n\n- b\n\n  ```\n  y\n  ```\n\nc\n\n    z\n';
  assert.deepEqual(codeBlocks(text), [
    { language: 'python', text: 'x = 1\n' },
    { language: '', text: 'y\n' },
    { language: '', text: 'z\n' },
  ]);
  const numbers = [...render(text).matchAll(/data-do="copy" data-block="(\d+)"/g)].map(([, n]) => n);
  assert.deepEqual(numbers, ['0', '1', '2']);
});

test('a block that is still being written is one', () => {
  assert.deepEqual(codeBlocks('```python\nx = '), [{ language: 'python', text: 'x = ' }]);
});

test('a diff is coloured and can be copied only', () => {
  const html = render('```diff\n--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-<a>\n+<b>\n```\n');
  assert.match(html, /<span class="removed">-&lt;a&gt;<\/span>/);
  assert.match(html, /<span class="file">--- a\/x<\/span>/);
  assert.doesNotMatch(html, /data-do="apply"/);
  assert.equal(diffIn('Reason:\n\n```diff\n+a\n```\n'), '+a\n');
  assert.equal(diffIn('no diff'), undefined);
});

test('a commit message comes without its fence', () => {
  assert.equal(plainMessage('```\nCount from one\n\nWhy.\n```\n'), 'Count from one\n\nWhy.');
  assert.equal(plainMessage(' Count `n` from one\n'), 'Count `n` from one');
});
