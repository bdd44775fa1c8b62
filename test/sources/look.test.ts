/** A look at a broker that was there before: beside the session, and nothing of it a reading. */
import { EventEmitter, once } from 'node:events';
import { expect, test } from 'vitest';
import type { Glimpse } from '../../src/sources/ports.ts';
import { message, optionsOf, rawBroker, sourcesOn, type Peer, type RawOptions } from './setup.ts';

const SUBSCRIBED = 'home/button';

/** What one who looks is shown. */
class Onlooker extends EventEmitter {
  readonly glimpses: Glimpse[] = [];
  readonly notes: string[] = [];

  readonly saw = (glimpse: Glimpse): void => {
    this.glimpses.push(glimpse);
    this.emit('seen');
  };

  readonly note = (note: string): void => {
    this.notes.push(note);
    this.emit('seen');
  };

  get topics(): string[] {
    return this.glimpses.map(({ topic }) => topic);
  }

  async shown(count: number): Promise<void> {
    while (this.glimpses.length < count) await once(this, 'seen');
  }

  async told(count: number): Promise<void> {
    while (this.notes.length < count) await once(this, 'seen');
  }
}

const live = (topic: string, payload = 'x', more: { readonly retain?: boolean } = {}) =>
  message(payload, { topic, qos: 0, ...more });

/** A connection in session at a broker made of packets; `look` resolves with its own end of one there. */
async function setup(options: RawOptions = {}) {
  const broker = await rawBroker(options);
  const { sources, settled, inlet, store } = sourcesOn();
  sources.start([optionsOf({ name: 'home', port: broker.port, protocol: 5 })], [SUBSCRIBED]);
  await settled();
  const look = async (filter: string) => {
    const onlooker = new Onlooker();
    const number = broker.peers.length;
    const stop = sources.look(filter, onlooker);
    const peer: Peer = await broker.peer(number);
    await peer.got('subscribe');
    return { onlooker, peer, stop };
  };
  return { broker, sources, inlet, store, look };
}

test('is a clean connection of its own with QoS 0, and leaves no reading, acknowledgement or session', async () => {
  const { broker, look, inlet, store } = await setup();
  const before = structuredClone([...store.records]);
  const { onlooker, peer, stop } = await look('#');
  const [connected] = await peer.got('connect');
  expect(connected).toMatchObject({ clean: true, clientId: 'mqtt2exist-0123abcd-w1' });
  expect(connected?.properties?.sessionExpiryInterval).toBe(0);
  expect(connected?.will).toBeUndefined();
  const [subscribed] = await peer.got('subscribe');
  expect(subscribed?.subscriptions).toMatchObject([{ topic: '#', qos: 0 }]);
  peer.send(live('attic/lamp', 'on', { retain: true }), live('attic/lamp', 'off'));
  await onlooker.shown(2);
  expect(onlooker.glimpses).toMatchObject([
    { topic: 'attic/lamp', payload: Buffer.from('on'), retain: true, connection: 'home' },
    { topic: 'attic/lamp', payload: Buffer.from('off'), retain: false },
  ]);
  stop();
  await peer.got('disconnect');
  expect(peer.acknowledgements).toEqual([]);
  expect(inlet.takes).toEqual([]);
  expect([...store.records]).toEqual(before);
  // The one in session went on all along.
  broker.peers[0]?.send(message('press'));
  await inlet.taken(1);
});

test('shows nothing that comes another way too, and nothing of the bridge itself', async () => {
  const { look } = await setup();
  const first = await look('attic/#');
  const second = await look('#');
  first.peer.send(live('attic/lamp'));
  await first.onlooker.shown(1);
  second.peer.send(live(SUBSCRIBED), live('attic/lamp'), live('mqtt2exist/1/status'), live('cellar/pump'));
  await second.onlooker.shown(1);
  expect(second.onlooker.topics).toEqual(['cellar/pump']);
  first.stop();
  second.peer.send(live('attic/lamp'));
  await second.onlooker.shown(2);
  expect(second.onlooker.topics).toEqual(['cellar/pump', 'attic/lamp']);
});

test('that the broker refuses is told, with its reason', async () => {
  const { look } = await setup({ granted: (filter) => (filter === SUBSCRIBED ? 2 : 0x87) });
  const { onlooker, peer } = await look('secret/#');
  await onlooker.told(1);
  expect(onlooker.notes).toEqual([
    'connection home cannot be looked at: it refuses secret/#: this user may not read it',
  ]);
  await peer.got('disconnect');
});

test('that the broker lets in no second time, or that it ends, is told and not tried again', async () => {
  const { broker, sources, look } = await setup({
    connack: (index) => (index === 1 ? { reasonCode: 0x97 } : {}),
  });
  const onlooker = new Onlooker();
  sources.look('#', onlooker);
  await onlooker.told(1);
  expect(onlooker.notes[0]).toMatch(/^connection home cannot be looked at: .*quota/);
  const cut = await look('#');
  cut.peer.socket.destroy();
  await cut.onlooker.told(1);
  expect(cut.onlooker.notes[0]).toMatch(/^connection home cannot be looked at: /);
  expect(broker.peers).toHaveLength(3);
  expect(sources.status()[0]?.state).toBe('connected');
});

test('shows so many topics, and ends where more comes than can be shown', async () => {
  const { look } = await setup();
  const { onlooker, peer } = await look('#');
  peer.send(...Array.from({ length: 600 }, (_, n) => live(`flood/${n}`)));
  peer.send(live('flood/0', 'again'));
  await onlooker.shown(501);
  expect(onlooker.notes).toEqual([
    'connection home has more than 500 topics below #: the others are left out',
  ]);
  // What is large takes the room of many.
  peer.send(...Array.from({ length: 20 }, () => live('flood/0', 'x'.repeat(100_000))));
  await onlooker.told(2);
  expect(onlooker.notes[1]).toMatch(/more comes than can be shown; look with a filter that is narrower/);
  await peer.got('disconnect');
});

test('is not made at $SYS, for a shared subscription, or where the connection is down', async () => {
  const { broker, sources } = await setup();
  const onlooker = new Onlooker();
  for (const filter of ['$SYS/#', '$share/others/#']) sources.look(filter, onlooker);
  expect(onlooker.notes).toEqual([
    'connections are not looked at for topics that begin with $',
    'connections are not looked at for topics that begin with $',
  ]);
  const { sources: away } = sourcesOn();
  away.start([optionsOf({ name: 'away', port: 1 })], [SUBSCRIBED]);
  const waiting = new Onlooker();
  away.look('#', waiting);
  expect(waiting.notes).toEqual(['connection away is down: no answer yet']);
  expect(broker.peers).toHaveLength(1);
});

test('ends with the connection that is taken out, and with all of them', async () => {
  const { sources, look } = await setup();
  const { onlooker, peer } = await look('#');
  sources.reconfigure([], []);
  await peer.got('disconnect');
  expect(onlooker.notes).toEqual([]);
  const other = await setup();
  const { peer: last } = await other.look('#');
  await other.sources.stop();
  await last.got('disconnect');
  other.sources.look('#', onlooker);
  expect(other.broker.peers).toHaveLength(2);
});
