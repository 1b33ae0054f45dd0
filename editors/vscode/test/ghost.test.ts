// For how long it is said who wrote ghost text: as long as it goes on from what a person types.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ghost, type Cursor } from '../src/ghost.ts';

const by = 'qwen at gpu.example.org';
const line = '    return sum(values)';
const items = [{ start: { line: 1, character: 4 }, text: 'return sum(values)' }];

// The cursor at the end of `written`, the second line of a document of that version.
function at(written: string, version = 1, uri = 'file:///a.py'): Cursor {
  const position = { line: 1, character: written.length };
  return { uri, version, position, from: ({ character }) => written.slice(character) };
}

function shown(): Ghost {
  const ghost = new Ghost();
  ghost.came(items, by, at('    ret'));
  assert.equal(ghost.by, by);
  return ghost;
}

test('it stays while the completion is typed along, and goes with its last word', () => {
  const ghost = shown();
  for (let length = 8; length < line.length; length++) {
    ghost.moved(at(line.slice(0, length), length));
    assert.equal(ghost.by, by, line.slice(0, length));
  }
  ghost.moved(at(line, line.length));
  assert.equal(ghost.by, undefined);
});

test('it goes where something else is typed, the cursor moves, or another document is there', () => {
  const ends = [at('    rex', 2), at('    re'), at('    ret', 1, 'file:///b.py'), at('', 2)];
  for (const end of ends) {
    const ghost = shown();
    ghost.moved(at('    ret'));
    ghost.moved(end);
    assert.equal(ghost.by, undefined, JSON.stringify(end));
  }
  const ghost = shown();
  ghost.gone();
  assert.equal(ghost.by, undefined);
});

test('nothing is said of one that is not signed, and of none', () => {
  const ghost = shown();
  ghost.came(items, undefined, at('    ret'));
  assert.equal(ghost.by, undefined);
  ghost.came([], by, at('    ret'));
  assert.equal(ghost.by, undefined);
});

test('one that comes when something else was typed meanwhile is not shown', () => {
  const ghost = new Ghost();
  ghost.came(items, by, at('    rex', 2));
  assert.equal(ghost.by, undefined);
  ghost.came(items, by, at('    retu', 2));
  assert.equal(ghost.by, by);
});
