import { expect, test } from 'vitest';
import type { SourceOptions } from '../../src/sources/ports.ts';
import { message, optionsOf, rawBroker, sourcesOn, until } from './setup.ts';

const options = (name: string, port: number): SourceOptions => optionsOf({ name, port });

test('several brokers are read from at once, and their packet ids told apart', async () => {
  const [one, two] = [await rawBroker(), await rawBroker()];
  const { sources, inlet, store } = sourcesOn();
  sources.start([options('one', one.port), options('two', two.port)], ['home/#']);
  for (const broker of [one, two]) {
    const peer = await broker.peer(0);
    await peer.got('subscribe');
    peer.send(message('press', { messageId: 7 }));
  }
  await inlet.taken(2);
  const session = ({ port }: { port: number }): string | undefined =>
    store.load(`mqtt2exist-0123abcd mqtt://127.0.0.1:${port}`)?.session;
  expect(inlet.takes.map(({ publish }) => publish.clientId).sort()).toEqual([
    `source:one:${session(one)}`,
    `source:two:${session(two)}`,
  ]);
});

test('another configuration adds, leaves and keeps connections', async () => {
  const [one, two, three] = [await rawBroker(), await rawBroker(), await rawBroker()];
  const { sources, store } = sourcesOn();
  sources.start([options('one', one.port), options('two', two.port)], ['home/#']);
  for (const broker of [one, two]) await (await broker.peer(0)).got('subscribe');
  await until(() => sources.status().every(({ state }) => state === 'connected'));
  sources.reconfigure([options('two', two.port), options('three', three.port)], ['garden/#']);
  await (await three.peer(0)).got('subscribe');
  await (await one.peer(0)).got('disconnect');
  await (await two.peer(0)).got('subscribe', 2);
  expect(sources.status().map(({ name }) => name)).toEqual(['two', 'three']);
  expect(two.peers.length).toBe(1);
  // The client id goes on elsewhere: that it is not the same broker has to be found out.
  await until(() => !store.keys().some((key) => key.endsWith(`:${one.port}`)));
  expect(three.peers.length).toBe(1);
});

test('other credentials go on with the same session', async () => {
  const broker = await rawBroker();
  const { sources, store } = sourcesOn();
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
  const { sources } = sourcesOn();
  sources.start([], ['home/#']);
  sources.reconfigure([options('one', broker.port)], ['home/#']);
  sources.reconfigure([options('one', broker.port)], ['home/#']);
  await (await broker.peer(0)).got('subscribe');
  await sources.stop();
  expect(broker.peers.length).toBe(1);
});

test('stopping is safe before starting, and twice', async () => {
  const { sources } = sourcesOn();
  await sources.stop();
  await sources.stop();
});
