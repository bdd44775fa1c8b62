import { expect, test } from 'vitest';
import { InletGate, type Publish, type Taken } from '../../src/broker/inlet.ts';
import { Sessions, type QueuedMessage } from '../../src/broker/sessions.ts';

const sessionLimits = { sessions: 2, subscriptionsPerClient: 2, queuedMessages: 10, queuedBytes: 100 };

function message(counter: number, size: number): QueuedMessage {
  const payload = Buffer.alloc(size);
  return { counter, topic: '', payload, qos: 1, packetId: undefined, isReceived: false };
}

test('the bytes of all queues are bounded together, and are free again when acknowledged or ended', () => {
  const sessions = new Sessions(sessionLimits, () => false);
  sessions.subscribe('a', 'x', 1);
  sessions.subscribe('b', 'x', 1);
  expect(sessions.enqueue('a', message(1, 60))).toBe(true);
  expect(sessions.enqueue('b', message(1, 41))).toBe(false);
  expect(sessions.enqueue('b', message(2, 40))).toBe(true);
  sessions.sent('a', 1, 7);
  expect(sessions.acknowledged('a', 7)?.counter).toBe(1);
  expect(sessions.acknowledged('a', 7)).toBeUndefined();
  expect(sessions.enqueue('a', message(3, 60))).toBe(true);
  sessions.end('b');
  expect(sessions.enqueue('a', message(4, 40))).toBe(true);
  expect(sessions.enqueue('a', message(5, 1))).toBe(false);
});

test('a session whose client is connected is not ended for another', () => {
  const connected = new Set(['a', 'b']);
  const sessions = new Sessions(sessionLimits, (clientId) => connected.has(clientId));
  for (const clientId of ['a', 'b', 'c']) sessions.subscribe(clientId, 'x', 1);
  expect([...sessions.subscribers('x').keys()]).toEqual(['a', 'b']);
  connected.delete('b');
  sessions.subscribe('c', 'x', 1);
  expect([...sessions.subscribers('x').keys()]).toEqual(['a', 'c']);
});

test('a session that is used again is not the longest unused one any more', () => {
  const sessions = new Sessions(sessionLimits, () => false);
  for (const clientId of ['a', 'b']) sessions.subscribe(clientId, 'x', 1);
  sessions.resume('a');
  sessions.subscribe('c', 'x', 1);
  expect([...sessions.subscribers('x').keys()]).toEqual(['a', 'c']);
});

test('a session keeps no more subscriptions than a client may have', () => {
  const sessions = new Sessions(sessionLimits, () => false);
  for (const filter of ['x', 'y', 'z']) sessions.subscribe('a', filter, 1);
  sessions.subscribe('a', 'x', 2);
  expect(sessions.resume('a')).toEqual([
    ['x', 2],
    ['y', 1],
  ]);
});

const ofClient = (clientId: string, packetId: number, dup = false): Publish => ({
  topic: 'a',
  payload: Buffer.alloc(1),
  qos: 2,
  retain: false,
  dup,
  packetId,
  clientId,
  account: undefined,
});

function makeGate(take: (publish: Publish, done: Taken) => void): InletGate {
  const limits = { pendingReadings: 10, pendingBytes: 1_000 };
  return new InletGate({ take, released: () => undefined }, limits, () => undefined);
}

test('exchanges that are never ended do not gather for ever', () => {
  const gate = makeGate((_, done) => done());
  const isKnown = (publish: Publish): boolean => {
    let known = false;
    gate.take(publish, (_, duplicate) => (known = duplicate));
    return known;
  };
  for (let client = 0; client < 30; client += 1) {
    for (let packetId = 1; packetId <= 1_000; packetId += 1) isKnown(ofClient(String(client), packetId));
  }
  expect(isKnown(ofClient('29', 1, true))).toBe(true);
  expect(isKnown(ofClient('0', 1, true))).toBe(false);
});

test('a publish that was not taken is not known when it comes again', () => {
  const outcomes: Parameters<Taken>[] = [[new Error('disk full')], [], []];
  const gate = makeGate((_, done) => done(...(outcomes.shift() ?? [])));
  const verdicts: boolean[] = [];
  gate.take(ofClient('a', 1), (_, duplicate) => verdicts.push(duplicate));
  gate.take(ofClient('a', 1, true), (_, duplicate) => verdicts.push(duplicate));
  gate.take(ofClient('a', 1, true), (_, duplicate) => verdicts.push(duplicate));
  expect(verdicts).toEqual([false, false, true]);
});
