// What is told of only once it has settled.
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Settled } from '../src/settled.ts';

test('what passes is not told of, what stays is, once', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  let told = 0;
  const settled = new Settled(1000, () => (told += 1));
  for (let key = 0; key < 5; key += 1) {
    settled.set('a', true);
    mock.timers.tick(900);
  }
  settled.set('a', false);
  mock.timers.tick(5000);
  assert.equal(told, 0, 'a person typed, and then it was so no more');
  settled.set('a', true);
  mock.timers.tick(1000);
  settled.set('a', true);
  mock.timers.tick(5000);
  assert.equal(told, 1);
  settled.set('a', false);
  settled.set('a', true);
  settled.forget('a');
  mock.timers.tick(5000);
  assert.equal(told, 1);
  mock.timers.reset();
});
