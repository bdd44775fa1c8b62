import { connect, connectAsync, type IConnackPacket } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SourceOptions } from '../../src/sources/ports.ts';
import { sessionKey } from '../../src/sources/session-key.ts';
import { setup as openOurs } from '../broker/setup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';
import { MemoryStore, optionsOf, rawBroker, sourcesOn, until } from './setup.ts';
import { skipped } from '../support/skip.ts';

const CLIENT = 'mqtt2exist-0123abcd';

/** A broker with two addresses. */
interface Address {
  readonly plain: SourceOptions;
  readonly websocket: SourceOptions;
}

const BROKERS = [
  {
    title: 'with our own broker, over MQTT 3.1.1',
    why: undefined,
    open: async (name = 'test'): Promise<Address> => {
      const host = '127.0.0.1';
      const listen = (['mqtt', 'ws'] as const).map((scheme) => ({ scheme, host, port: 0 }));
      const [plain = 0, websocket = 0] = (await openOurs({ listen })).ports;
      return {
        plain: optionsOf({ name, port: plain }),
        websocket: optionsOf({ name, port: websocket, scheme: 'ws' }),
      };
    },
  },
  ...([4, 5] as const).map((protocol) => ({
    title: `with Mosquitto, over MQTT ${protocol}${skipped(NO_MOSQUITTO)}`,
    why: NO_MOSQUITTO,
    open: async (name = 'test'): Promise<Address> => {
      const mosquitto = await Mosquitto.start(temporaryFolder());
      onTestFinished(() => mosquitto.kill());
      return {
        plain: optionsOf({ name, protocol, port: mosquitto.port }),
        websocket: optionsOf({ name, protocol, port: mosquitto.websocketPort, scheme: 'ws' }),
      };
    },
  })),
];

/** What an earlier run has left behind: connected, subscribed, and stopped. */
async function leftBehind(all: readonly SourceOptions[], filters: readonly string[]): Promise<MemoryStore> {
  const { sources, store, settled } = sourcesOn();
  sources.start(all, filters);
  await settled();
  await sources.stop();
  return store;
}

async function publisher({ port }: SourceOptions) {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
  client.on('error', () => undefined);
  onTestFinished(() => client.endAsync(true));
  return client;
}

/** Whether the broker has a session under our client id. */
async function hasSession({ port }: SourceOptions): Promise<boolean> {
  const options = { clientId: CLIENT, clean: false, protocolVersion: 4, reconnectPeriod: 0 } as const;
  const client = connect(`mqtt://127.0.0.1:${port}`, options);
  const connack = await new Promise<IConnackPacket>((resolve) => client.once('connect', resolve));
  await client.endAsync();
  return connack.sessionPresent;
}

describe.each(BROKERS)('$title', ({ open, why }) => {
  test.skipIf(why)('a connection that was taken out while nothing ran leaves nothing behind', async () => {
    const { plain } = await open();
    const store = await leftBehind([plain], ['home/#']);
    const { sources, logged } = sourcesOn(store);
    sources.start([], []);
    await until(() => store.records.size === 0);
    expect(logged).toEqual([
      {
        level: 'info',
        message: `mqtt://127.0.0.1:${plain.port} is not among the connections any more, and keeps no session for us`,
      },
    ]);
    await sources.stop();
    expect(await hasSession(plain)).toBe(false);
  });

  test.skipIf(why)('nor where another broker knows us by the same client id', async () => {
    const [{ plain: one }, { plain: two }] = [await open('one'), await open('two')];
    const store = await leftBehind([one, two], ['home/#']);
    const before = store.load(sessionKey(two));
    const { sources, inlet } = sourcesOn(store);
    sources.start([two], ['home/#']);
    await until(() => store.records.size === 1);
    expect(store.load(sessionKey(two))).toEqual(before);
    await (await publisher(two)).publishAsync('home/button', 'press', { qos: 1 });
    await inlet.taken(1);
    expect(await hasSession(one)).toBe(false);
  });

  test.skipIf(why)('nor one that is taken out while the bridge runs', async () => {
    const { plain } = await open();
    const { sources, store, settled } = sourcesOn();
    sources.start([plain], ['home/#']);
    await settled();
    sources.reconfigure([], []);
    await until(() => store.records.size === 0);
    await sources.stop();
    expect(await hasSession(plain)).toBe(false);
  });

  test.skipIf(why)(
    'under another URL a session goes on: what waited there comes, and no filter that was taken out stays',
    async () => {
      const { plain, websocket } = await open();
      const store = await leftBehind([plain], ['home/new', 'home/old']);
      const { session } = store.load(sessionKey(plain)) ?? {};
      const client = await publisher(plain);
      await client.publishAsync('home/new', 'while away', { qos: 2 });
      const { sources, inlet, logged, settled } = sourcesOn(store);
      sources.start([websocket], ['home/new']);
      await inlet.taken(1);
      await settled();
      await until(() => !store.filters.includes('home/old'));
      expect(store.keys()).toEqual([sessionKey(websocket)]);
      // Marks of what was taken before are good as long as the session is the same.
      expect(store.load(sessionKey(websocket))).toEqual({ session, filters: { 'home/new': 2 } });
      await client.publishAsync('home/old', 'x', { qos: 1 });
      await client.publishAsync('home/new', 'now', { qos: 1 });
      await inlet.taken(2);
      expect(inlet.payloads).toEqual(['while away', 'now']);
      expect(logged.filter(({ level }) => level !== 'debug').map(({ message }) => message)).toEqual([
        expect.stringMatching('is connected$'),
      ]);
    },
  );

  test.skipIf(why)('under another URL after a reload it goes on as well', async () => {
    const { plain, websocket } = await open();
    const { sources, store, settled } = sourcesOn();
    sources.start([plain], ['home/#']);
    await settled();
    const { session } = store.load(sessionKey(plain)) ?? {};
    sources.reconfigure([websocket], ['home/#']);
    await until(() => store.keys().includes(sessionKey(websocket)));
    await settled();
    expect(store.keys()).toEqual([sessionKey(websocket)]);
    expect(store.load(sessionKey(websocket))?.session).toBe(session);
  });

  test.skipIf(why)(
    'a session that is known by two URLs is not ended while it is in use, and loses what only the other had',
    async () => {
      const { plain, websocket } = await open();
      const store = await leftBehind([plain], ['garden/#', 'home/#']);
      const { session = '' } = store.load(sessionKey(plain)) ?? {};
      store.save(sessionKey(plain), { session, filters: { 'home/#': 2 } });
      store.save(sessionKey(websocket), { session: 'x', filters: { 'garden/#': 2 } });
      const { sources, inlet, settled } = sourcesOn(store);
      const client = await publisher(plain);
      sources.start([plain], ['home/#']);
      const presses: string[] = [];
      // In the midst of it: the look cuts the connection off.
      while (store.records.size > 1) {
        presses.push(`${presses.length}`);
        await client.publishAsync('home/button', presses.at(-1) ?? '', { qos: 2 });
      }
      await settled();
      await until(() => !store.filters.includes('garden/#'));
      expect(store.load(sessionKey(plain))).toEqual({ session, filters: { 'home/#': 2 } });
      await client.publishAsync('garden/tap', 'open', { qos: 2 });
      await client.publishAsync('home/button', 'last', { qos: 2 });
      await until(() => inlet.payloads.includes('last'));
      // Some may come twice, with a mark by which the intake knows them.
      const first = inlet.takes.filter(
        ({ publish }, n) => !(publish.dup && inlet.payloads.indexOf(inlet.payloads[n] ?? '') < n),
      );
      expect(first.map(({ publish }) => Buffer.from(publish.payload).toString())).toEqual([
        ...presses,
        'last',
      ]);
      await sources.stop();
      expect(await hasSession(plain)).toBe(true);
    },
  );
});

const keyOf = (port: number): string => sessionKey(optionsOf({ port }));

describe('leave is taken', () => {
  test('as soon as the broker is there', async () => {
    const broker = await rawBroker({ connack: (index) => (index >= 1 && index <= 3 ? 'hang up' : {}) });
    const store = await leftBehind([optionsOf({ port: broker.port })], ['home/#']);
    const { sources, logged } = sourcesOn(store);
    sources.start([], []);
    await until(() => store.records.size === 0);
    const [connect] = (await broker.peers.at(-1)?.got('connect')) ?? [];
    expect(connect).toMatchObject({ clean: true, clientId: CLIENT });
    // Nobody has to be told of the tries.
    expect(logged.filter(({ level }) => level !== 'debug')).toHaveLength(1);
  });

  test('with the password that the connection had, where it was down when it was taken out', async () => {
    const broker = await rawBroker({ connack: (index) => (index === 1 ? 'hang up' : {}) });
    const { sources, store, settled } = sourcesOn();
    sources.start(
      [optionsOf({ port: broker.port, username: 'bridge', password: 'open sesame' })],
      ['home/#'],
    );
    await settled();
    broker.peers[0]?.socket.destroy();
    await until(() => sources.status()[0]?.state === 'down');
    sources.reconfigure([], []);
    await until(() => store.records.size === 0);
    const [connect] = (await broker.peers.at(-1)?.got('connect')) ?? [];
    expect(connect).toMatchObject({ clean: true, username: 'bridge', password: Buffer.from('open sesame') });
  });

  test('with what another connection to the same address needs', async () => {
    const broker = await rawBroker({ connack: () => ({ sessionPresent: false }) });
    const [one, two] = ['one', 'two'].map((name, n) =>
      optionsOf({ name, port: broker.port, clientId: `${CLIENT}-${n}`, username: 'bridge', password: 'x' }),
    );
    if (!one || !two) throw new Error('two were made');
    const store = await leftBehind([one, two], ['home/#']);
    const { sources } = sourcesOn(store);
    sources.start([two], ['home/#']);
    await until(() => store.records.size === 1);
    const farewell = broker.peers.flatMap(({ packets }) =>
      packets.flatMap((packet) => (packet.cmd === 'connect' && packet.clean ? [packet] : [])),
    );
    expect(farewell).toMatchObject([{ clientId: `${CLIENT}-0`, username: 'bridge' }]);
  });

  test('not before the connections with its client id are there', async () => {
    const [gone, late] = [await rawBroker(), await rawBroker({ connack: (n) => (n < 4 ? 'hang up' : {}) })];
    const store = new MemoryStore();
    store.save(keyOf(gone.port), { session: 'x', filters: {} });
    const { sources } = sourcesOn(store);
    sources.start([optionsOf({ port: late.port })], ['home/#']);
    await late.peer(3);
    expect(gone.peers).toEqual([]);
    await until(() => !store.keys().includes(keyOf(gone.port)));
    expect(late.peers.length).toBe(5);
  });
});

describe('no leave is taken', () => {
  test('where the password is gone, which is said once, and the session stays written down', async () => {
    const broker = await rawBroker({
      connack: (index) => (index === 0 ? {} : { reasonCode: 0x86, sessionPresent: false }),
    });
    const options = optionsOf({ port: broker.port, username: 'bridge', password: 'open sesame' });
    const store = await leftBehind([options], ['home/#']);
    const { sources, logged } = sourcesOn(store);
    sources.start([], []);
    await until(() => logged.length > 0);
    await sources.stop();
    expect(logged).toEqual([
      {
        level: 'warn',
        message:
          `mqtt://127.0.0.1:${broker.port} is not among the connections any more, and our session stays there until the ` +
          'broker expires it: the broker refuses user name or password; to end it, put the connection back in, and take ' +
          'it out while mqtt2exist runs (SIGHUP)',
      },
    ]);
    expect(store.keys()).toEqual([keyOf(broker.port)]);
    expect(broker.peers.length).toBe(2);
  });

  test('of a broker that stays away, which is given up without a word, until the next start', async () => {
    const broker = await rawBroker({ connack: (index) => (index === 0 ? {} : 'hang up') });
    const store = await leftBehind([optionsOf({ port: broker.port })], ['home/#']);
    const { sources, logged } = sourcesOn(store);
    sources.start([], []);
    await until(() => logged.at(-1)?.message.endsWith('it is tried again at the next start') === true);
    await sources.stop();
    expect(logged.every(({ level }) => level === 'debug')).toBe(true);
    expect(broker.peers.length).toBe(1 + 12);
    expect(store.keys()).toEqual([keyOf(broker.port)]);
  });

  test('of a connection that is put back meanwhile', async () => {
    const broker = await rawBroker({ connack: (index) => (index === 1 ? 'hang up' : {}) });
    const store = await leftBehind([optionsOf({ port: broker.port })], ['home/#']);
    const { session } = store.load(keyOf(broker.port)) ?? {};
    const { sources, settled } = sourcesOn(store);
    sources.start([], []);
    await broker.peer(1);
    sources.reconfigure([optionsOf({ port: broker.port })], ['home/#']);
    const peer = await broker.peer(2);
    await settled();
    expect((await peer.got('connect'))[0]?.clean).toBe(false);
    expect(store.load(keyOf(broker.port))?.session).toBe(session);
    await sources.stop();
    expect(broker.peers.length).toBe(3);
  });

  test('where the store has what is no key', async () => {
    const store = new MemoryStore();
    store.save('nonsense', { session: 'x', filters: {} });
    const { sources, logged } = sourcesOn(store);
    sources.start([], []);
    await sources.stop();
    expect(store.keys()).toEqual(['nonsense']);
    expect(logged).toEqual([]);
  });
});
