// Where the program is looked for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findProgram, type Surroundings } from '../src/program.ts';

function find(there: string[], more: Partial<Surroundings> = {}): unknown {
  return findProgram({
    setting: '',
    home: '/home/a',
    path: '/usr/local/sbin:/opt/bin',
    extension: '/ext',
    folders: ['/p'],
    isExecutable: (file) => there.includes(file),
    ...more,
  });
}

test('the PATH goes before the usual folders, and these before the extension’s own', () => {
  const all = ['/opt/bin/hearth', '/home/a/.local/bin/hearth', '/ext/bin/hearth'];
  assert.deepEqual(find(all), { program: '/opt/bin/hearth' });
  assert.deepEqual(find(all.slice(1)), { program: '/home/a/.local/bin/hearth' });
  assert.deepEqual(find(all.slice(2)), { program: '/ext/bin/hearth' });
});

test('a relative folder on the PATH is none', () => {
  assert.ok('missing' in (find(['./hearth', 'hearth'], { path: '.:' }) as object));
});

test('the setting alone counts where there is one', () => {
  const there = ['/opt/bin/hearth', '/home/a/h', '/p/bin/h', '/opt/bin/h2'];
  assert.deepEqual(find(there, { setting: '~/h' }), { program: '/home/a/h' });
  assert.deepEqual(find(there, { setting: '${userHome}/h' }), { program: '/home/a/h' });
  assert.deepEqual(find(there, { setting: 'bin/h' }), { program: '/p/bin/h' });
  assert.deepEqual(find(there, { setting: 'h2' }), { program: '/opt/bin/h2' });
  const { missing } = find(there, { setting: '/nowhere' }) as { missing: string };
  assert.match(missing, /hearth\.path names \/nowhere/);
});
