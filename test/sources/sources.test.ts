import { expect, onTestFinished, test } from 'vitest';
import type { SourceOptions } from '../../src/sources/ports.ts';
import { Sources } from '../../src/sources/sources.ts';
import { MemoryStore, TestInlet, message, rawBroker } from './setup.ts';

function setup() {
  const inlet = new TestInlet();
  const store = new MemoryStore();
  const sources = new Sources({
    inlet,
    sessions: store,
    log: () => undefined,
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    random: () => 0,
    after: (delayMs, task) => {
      const timer = setTimeout(task, delayMs / 1_000);
      return () => {
        clearTimeout(timer);
      };
    },
    newSession: () => 's',
    will: undefined,
  });
  onTestFinished(() => sources.stop());
  return { sources, inlet, store };
}

function options(name: string, port: number): SourceOptions {
  return {
    name,
    scheme: 'mqtt',
    host: '127.0.0.1',
    port,
    path: '/mqtt',
    clientId: 'mqtt2exist-0123abcd',
    username: undefined,
    password: undefined,
    protocol: undefined,
    tls: { ca: undefined, cert: undefined, key: undefined },
    qos: 2,
    keepAliveS: 30,
  };
}

test('several brokers are read from at once, and their packet ids told apart', async () => {
  const [one, two] = [await rawBroker(), await rawBroker()];
  const { sources, inlet } = setup();
  sources.start([options('one', one.port), options('two', two.port)], ['home/#']);
  for (const broker of [one, two]) {
    const peer = await broker.peer(0);
    await peer.got('subscribe');
    peer.send(message('press', { messageId: 7 }));
  }
  await inlet.taken(2);
  expect(inlet.takes.map(({ publish }) => publish.clientId).sort()).toEqual(['source:one:s', 'source:two:s']);
});

test('another configuration adds, leaves and keeps connections', async () => {
  const [one, two, three] = [await rawBroker(), await rawBroker(), await rawBroker()];
  const { sources, store } = setup();
  sources.start([options('one', one.port), options('two', two.port)], ['home/#']);
  for (const broker of [one, two]) await (await broker.peer(0)).got('subscribe');
  while (sources.status().some(({ state }) => state !== 'connected'))
    await new Promise((r) => setImmediate(r));
  sources.reconfigure([options('two', two.port), options('three', three.port)], ['garden/#']);
  await (await three.peer(0)).got('subscribe');
  await (await one.peer(0)).got('disconnect');
  await (await two.peer(0)).got('subscribe', 2);
  expect(sources.status().map(({ name }) => name)).toEqual(['two', 'three']);
  expect(two.peers.length).toBe(1);
  expect([...store.records.keys()].some((key) => key.endsWith(`:${one.port}`))).toBe(false);
});

test('other credentials go on with the same session', async () => {
  const broker = await rawBroker();
  const { sources, store } = setup();
  sources.start([options('one', broker.port)], ['home/#']);
  await (await broker.peer(0)).got('subscribe');
  sources.reconfigure([{ ...options('one', broker.port), username: 'bridge' }], ['home/#']);
  const [connect] = await (await broker.peer(1)).got('connect');
  expect(connect?.username).toBe('bridge');
  expect((await (await broker.peer(0)).got('disconnect'))[0]?.properties).toBeUndefined();
  expect(store.records.size).toBe(1);
});

test('two changes at once leave one connection each', async () => {
  const broker = await rawBroker();
  const { sources } = setup();
  sources.start([], ['home/#']);
  sources.reconfigure([options('one', broker.port)], ['home/#']);
  sources.reconfigure([options('one', broker.port)], ['home/#']);
  await (await broker.peer(0)).got('subscribe');
  await sources.stop();
  expect(broker.peers.length).toBe(1);
});

test('stopping is safe before starting, and twice', async () => {
  const { sources } = setup();
  await sources.stop();
  await sources.stop();
});

test.each([
  ['an authority that is none', { ca: 'nothing' }],
  ['a key that is none', { key: 'nothing' }],
  ['a certificate that is none', { cert: 'nothing', key: 'nothing' }],
])('a connection with %s is in trouble, and no other is', async (_, tls) => {
  const broker = await rawBroker();
  const { sources } = setup();
  const broken: SourceOptions = {
    ...options('broken', 1),
    scheme: 'mqtts',
    tls: { ...options('broken', 1).tls, ...tls },
  };
  sources.start([broken, options('well', broker.port)], ['home/#']);
  await (await broker.peer(0)).got('subscribe');
  const states = sources.status().map(({ name, lastError }) => [name, lastError !== undefined]);
  expect(states).toEqual([
    ['broken', true],
    ['well', false],
  ]);
});
