// In which order the server hears of a document.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DocumentOrder } from '../src/documentOrder.ts';

// As vscode-languageclient sends: a change some turns of the microtasks later than an open or close.
class Client {
  readonly wire: string[] = [];
  private readonly sender = (what: string, turns: number) => async (): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) await undefined;
    this.wire.push(what);
  };
  change = (what: string) => this.sender(what, 4);
  other = (what: string) => this.sender(what, 1);
}

test('a close does not overtake the changes before it, nor a second opening the close', async () => {
  const client = new Client();
  const order = new DocumentOrder();
  const all = [
    order.open('a', client.other('open a')),
    order.change('a', client.change('change a 1')),
    order.change('a', client.change('change a 2')),
    order.close('a', client.other('close a')),
    order.open('b', client.other('open b')),
  ];
  assert.ok(order.holds('a') && !order.holds('b'));
  all.push(
    order.open('a', client.other('open a again')),
    order.change('a', client.change('change a 3')),
    order.close('a', client.other('close a again')),
  );
  await Promise.all(all);
  assert.deepEqual(client.wire.filter((each) => each.includes(' a')), [
    'open a', 'change a 1', 'change a 2', 'close a', 'open a again', 'change a 3', 'close a again',
  ]);
  assert.equal(client.wire.indexOf('open b') < 3, true, 'other documents do not wait');
  assert.ok(!order.holds('a'));
});

test('what cannot be sent holds nothing up', async () => {
  const client = new Client();
  const order = new DocumentOrder();
  const fails = order.change('a', () => Promise.reject(new Error('no connection')));
  const closes = order.close('a', client.other('close a'));
  await assert.rejects(fails, /no connection/);
  await closes;
  assert.deepEqual(client.wire, ['close a']);
  await order.open('a', client.other('open a'));
  assert.deepEqual(client.wire, ['close a', 'open a']);
});
