import { expect, test } from 'vitest';
import { InletGate, type Publish, type Taken } from '../../src/broker/inlet.ts';
import type { QueuedMessage } from '../../src/broker/outbox.ts';
import { Sessions } from '../../src/broker/sessions.ts';
import { WriteBehind } from '../../src/broker/write-behind.ts';

const limits = {
  sessions: 2,
  subscriptionsPerClient: 2,
  queuedMessages: 10,
  // Each message costs 500 bytes aside from its own.
  queuedBytes: 1_100,
  sessionIdleHours: 3,
};

function makeSessions(
  isConnected: (clientId: string) => boolean = () => false,
  accountOf: (clientId: string) => string | undefined = () => undefined,
  bounds = limits,
): Sessions {
  const nothing = (): void => undefined;
  const changes = new WriteBehind({
    store: undefined,
    after: () => nothing,
    onStored: nothing,
    onUnstored: nothing,
  });
  return new Sessions({ limits: bounds, changes, isConnected, accountOf });
}

function enqueue(sessions: Sessions, clientId: string, size: number): QueuedMessage | undefined {
  const message = sessions.enqueue(clientId, { topic: '', payload: Buffer.alloc(size), qos: 1 });
  if (message) sessions.published(message, message.seq);
  return message;
}

const clientsOf = (sessions: Sessions, topic: string): string[] =>
  sessions.subscribers(topic).map(({ clientId }) => clientId);

test('the bytes of all queues are bounded together, and are free again when acknowledged or ended', () => {
  const sessions = makeSessions();
  sessions.subscribe('a', 'x', { qos: 1 });
  sessions.subscribe('b', 'x', { qos: 1 });
  const first = enqueue(sessions, 'a', 60);
  expect(enqueue(sessions, 'b', 41)).toBeUndefined();
  expect(enqueue(sessions, 'b', 40)).toBeDefined();
  if (first) sessions.send(first, 7);
  expect(sessions.acknowledged('a', 7)).toBe(first);
  expect(sessions.acknowledged('a', 7)).toBeUndefined();
  expect(enqueue(sessions, 'a', 60)).toBeDefined();
  sessions.end('b');
  expect(enqueue(sessions, 'a', 40)).toBeDefined();
  expect(enqueue(sessions, 'a', 1)).toBeUndefined();
});

test('an account that makes one session after the other costs none of another account', () => {
  const accountOf = (clientId: string): string => (clientId.startsWith('mad') ? 'mad' : 'honest');
  const sessions = makeSessions(() => false, accountOf, { ...limits, sessions: 4 });
  for (const clientId of ['honest-1', 'mad-1', 'mad-2', 'mad-3', 'mad-4', 'mad-5']) {
    sessions.subscribe(clientId, 'x', { qos: 1 });
  }
  expect(clientsOf(sessions, 'x')).toEqual(['honest-1', 'mad-3', 'mad-4', 'mad-5']);
});

test('a session whose client is connected is not ended for another', () => {
  const connected = new Set(['a', 'b']);
  const sessions = makeSessions((clientId) => connected.has(clientId));
  for (const clientId of ['a', 'b', 'c']) sessions.subscribe(clientId, 'x', { qos: 1 });
  expect(clientsOf(sessions, 'x')).toEqual(['a', 'b']);
  connected.delete('b');
  sessions.subscribe('c', 'x', { qos: 1 });
  expect(clientsOf(sessions, 'x')).toEqual(['a', 'c']);
});

test('a session that is used again is not the longest unused one any more', () => {
  const sessions = makeSessions();
  for (const clientId of ['a', 'b']) sessions.subscribe(clientId, 'x', { qos: 1 });
  sessions.resume('a');
  sessions.subscribe('c', 'x', { qos: 1 });
  expect(clientsOf(sessions, 'x')).toEqual(['a', 'c']);
});

test('a session keeps no more subscriptions than a client may have', () => {
  const sessions = makeSessions();
  for (const filter of ['x', 'y', 'z']) sessions.subscribe('a', filter, { qos: 1 });
  sessions.subscribe('a', 'x', { qos: 2 });
  expect(sessions.resume('a')).toEqual([
    ['x', { qos: 2 }],
    ['y', { qos: 1 }],
  ]);
});

test('a session that nobody came back to ends after the hours it is kept; one that is used does not', () => {
  const connected = new Set<string>();
  const sessions = makeSessions((clientId) => connected.has(clientId));
  sessions.subscribe('a', 'x', { qos: 1 });
  sessions.subscribe('b', 'x', { qos: 1 });
  for (let hour = 0; hour < limits.sessionIdleHours; hour += 1) sessions.passHour();
  sessions.resume('b');
  expect(clientsOf(sessions, 'x')).toEqual(['a', 'b']);
  sessions.passHour();
  expect(clientsOf(sessions, 'x')).toEqual(['b']);
  connected.add('b');
  for (let hour = 0; hour < 100; hour += 1) sessions.passHour();
  expect(clientsOf(sessions, 'x')).toEqual(['b']);
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
  const bounds = { pendingReadings: 10, pendingBytes: 1_000 };
  return new InletGate({ take, released: () => undefined }, bounds, () => undefined);
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
