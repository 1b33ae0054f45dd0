// Changes against the text as it is now.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyPatch, fitted, isOwnFile, isPathOf, parsePatch, placeOf, replacement } from '../src/patch.ts';

const diff = `--- a/stats.py
+++ b/stats.py
@@ -2,3 +2,4 @@
 def average(values):
+    """The mean."""
     return sum(values) / len(values)
 
`;
const before = 'import sys\ndef average(values):\n    return sum(values) / len(values)\n\nprint(1)\n';
const hunks = parsePatch(diff)[0]?.hunks ?? [];

test('a hunk is made where it stands', () => {
  assert.equal(parsePatch(diff)[0]?.path, 'stats.py');
  assert.equal(
    applyPatch(before, hunks),
    'import sys\ndef average(values):\n    """The mean."""\n    return sum(values) / len(values)\n\nprint(1)\n',
  );
});

test('a person typed on above it, and elsewhere', () => {
  const now = `# new\n# lines\n${before.replace('print(1)', 'print(2)')}`;
  const after = applyPatch(now, hunks);
  assert.match(after ?? '', /^# new\n# lines\nimport sys\ndef average\(values\):\n {4}"""The mean/);
  assert.match(after ?? '', /print\(2\)/);
});

test('a line beside the change is another one while a person types in it', () => {
  const now = before.replace('def average', '# Numbdef average');
  assert.match(applyPatch(now, hunks) ?? '', /# Numbdef average\(values\):\n {4}"""The mean/);
});

test('nothing is made where a line that goes has changed, or none of it is there', () => {
  const removing = '--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n';
  assert.equal(applyPatch('a\nbb\nd\n', parsePatch(removing)[0]?.hunks ?? []), undefined);
  assert.equal(applyPatch('x\n', hunks), undefined);
});

test('line ends stay', () => {
  const after = applyPatch(before.replaceAll('\n', '\r\n'), hunks) ?? '';
  assert.equal(after.replaceAll('\r\n', '').includes('\n'), false);
});

test('lines that look like heads of a diff are lines', () => {
  const sql = '--- a/q.sql\n+++ b/q.sql\n@@ -1,2 +1,2 @@\n--- old\n+-- new\n x\n';
  assert.equal(applyPatch('-- old\nx\n', parsePatch(sql)[0]?.hunks ?? []), '-- new\nx\n');
});

test('a patch of several files names each', () => {
  const two = '--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,1 @@\n-a\n+b\n--- a/src/b.py\n+++ b/src/b.py\n@@ -1,1 +1,1 @@\n-c\n+d\n';
  const files = parsePatch(two);
  assert.deepEqual(files.map(({ path }) => path), ['a.py', 'src/b.py']);
  assert.equal(applyPatch('c\n', files[1]?.hunks ?? []), 'd\n');
  assert.ok(isPathOf('src/b.py', '/p/src/b.py') && !isPathOf('b.py', '/p/ab.py'));
});

test('several hunks, an insertion into nothing', () => {
  const two = '--- a/x\n+++ b/x\n@@ -1,1 +1,2 @@\n a\n+b\n@@ -3,1 +4,0 @@\n-d\n';
  assert.equal(applyPatch('a\nc\nd\n', parsePatch(two)[0]?.hunks ?? []), 'a\nb\nc\n');
  const empty = '--- a/x\n+++ b/x\n@@ -0,0 +1,1 @@\n+a\n';
  assert.equal(applyPatch('', parsePatch(empty)[0]?.hunks ?? []), 'a\n');
});

test('code is found where it was, where it went, and not where it is twice', () => {
  assert.equal(placeOf('aXb', 'X', 1), 1);
  assert.equal(placeOf('aaXb', 'X', 1), 2);
  assert.equal(placeOf('XaXb', 'X', 1), undefined);
  assert.equal(placeOf('ab', 'X', 1), undefined);
});

test('code takes the indentation and the end of what it replaces', () => {
  assert.equal(fitted('def f():\n    pass\n\n', '    def f():\n        x\n'), '    def f():\n        pass\n');
  assert.equal(fitted('x\n', 'y'), 'x');
});

test('only what differs is replaced', () => {
  assert.deepEqual(replacement('abcd', 'abXd'), { start: 2, end: 3, text: 'X' });
  assert.deepEqual(replacement('aa', 'aaa'), { start: 2, end: 2, text: 'a' });
  assert.deepEqual(replacement('same', 'same'), { start: 4, end: 4, text: '' });
});

test('new files are told from others, also where nothing is in them', () => {
  const added = 'diff --git a/lib/util.py b/lib/util.py\nnew file mode 100644\n--- /dev/null\n+++ b/lib/util.py\n@@ -0,0 +1,2 @@\n+def f():\n+    return 1\n';
  const empty = 'diff --git a/lib/__init__.py b/lib/__init__.py\nnew file mode 100644\n';
  const files = parsePatch(`${diff}${empty}${added}`);
  assert.deepEqual(files.map(({ path, isNew }) => [path, isNew]), [
    ['stats.py', false],
    ['lib/__init__.py', true],
    ['lib/util.py', true],
  ]);
  assert.deepEqual(files.map((file) => applyPatch(file.isNew ? '' : before, file.hunks)).slice(1), [
    '',
    'def f():\n    return 1\n',
  ]);
});

test('the only file of a change is the one that was asked about, unless it is new', () => {
  const file = (path: string, isNew = false) => ({ path, isNew, hunks: [] });
  const own = '/p/stats.py';
  const [stats, other, made] = [file('stats.py'), file('other.py'), file('p/stats.py', true)];
  assert.equal(isOwnFile(other, [other], own), true);
  assert.equal(isOwnFile(made, [made], own), false);
  assert.equal(isOwnFile(stats, [stats, other], own), true);
  assert.equal(isOwnFile(other, [stats, other], own), false);
});
