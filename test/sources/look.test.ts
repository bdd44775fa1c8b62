/** A look at a broker that was there before: beside the session, and nothing of it a reading. */
import { EventEmitter, once } from 'node:events';
import { expect, test } from 'vitest';
import type { Glimpse, SourceOptions } from '../../src/sources/ports.ts';
import { message, optionsOf, rawBroker, sourcesOn, until, type Peer, type RawOptions } from './setup.ts';

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

/**
 * A connection in session at a broker made of packets; `look` resolves with its own end of one there. Time passes when
 * `pass` is called.
 */
async function setup(options: RawOptions = {}, connection: Partial<SourceOptions> = {}) {
  const broker = await rawBroker(options);
  const timers = new Map<() => void, number>();
  const after = (delayMs: number, task: () => void) => {
    timers.set(task, delayMs);
    return () => void timers.delete(task);
  };
  /** All that was to happen within `ms` happens. */
  const pass = (ms: number): void => {
    for (const [task, delayMs] of timers) if (delayMs <= ms && timers.delete(task)) task();
  };
  const { sources, settled, inlet, store } = sourcesOn(undefined, { after });
  const home = optionsOf({ name: 'home', port: broker.port, protocol: 5, ...connection });
  sources.start([home], [SUBSCRIBED]);
  await settled();
  const look = async (filter: string) => {
    const onlooker = new Onlooker();
    const number = broker.peers.length;
    const stop = sources.look(filter, onlooker);
    const peer: Peer = await broker.peer(number);
    await peer.got('subscribe');
    return { onlooker, peer, stop };
  };
  return { broker, sources, inlet, store, look, pass };
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

test('that the broker refuses without a word of why is told with what it most often means', async () => {
  const { look } = await setup({ granted: (filter) => (filter === SUBSCRIBED ? 2 : 0x80) }, { protocol: 4 });
  const { onlooker } = await look('secret/#');
  await onlooker.told(1);
  expect(onlooker.notes).toEqual([
    'connection home cannot be looked at: it refuses secret/#: it does not say why; most often this user may not read it',
  ]);
});

test('to which nothing comes says what that may mean', async () => {
  const { look, pass } = await setup();
  const silent = await look('secret/#');
  const answered = await look('attic/#');
  await silent.peer.inStep();
  answered.peer.send(live('attic/lamp'));
  await answered.onlooker.shown(1);
  pass(2_000);
  expect(silent.onlooker.notes).toEqual([
    'nothing has come from connection home yet: either nothing was published there for secret/#, or that broker does not let this user read it',
  ]);
  expect(answered.onlooker.notes).toEqual([]);
});

test('that the broker lets in no second time is told and not tried again', async () => {
  const { broker, sources, pass } = await setup({
    connack: (index) => (index === 1 ? { reasonCode: 0x97 } : {}),
  });
  const onlooker = new Onlooker();
  sources.look('#', onlooker);
  await onlooker.told(1);
  expect(onlooker.notes).toEqual([expect.stringMatching(/^connection home cannot be looked at: .*quota/)]);
  pass(600_000);
  expect(broker.peers).toHaveLength(2);
  expect(sources.status()[0]?.state).toBe('connected');
});

test('that is lost is told, and made again until the broker is back', async () => {
  const { broker, look, pass } = await setup({
    connack: (index) => (index === 2 ? 'hang up' : {}),
  });
  const { onlooker, peer, stop } = await look('#');
  await peer.inStep();
  peer.socket.destroy();
  await onlooker.told(1);
  pass(1_000);
  await broker.peer(2);
  // Its end is told to nobody but the timer of the next try.
  await until(() => {
    pass(15_000);
    return broker.peers.length === 4;
  });
  const back = await broker.peer(3);
  await back.got('subscribe');
  await onlooker.told(2);
  back.send(live('attic/lamp'));
  await onlooker.shown(1);
  expect(onlooker.notes).toEqual([
    'connection home is lost: the broker closed the connection; it is looked at again when it is back',
    'connection home is looked at again',
  ]);
  stop();
  await back.got('disconnect');
});

test.each([4, 5] as const)(
  'of MQTT %i reads nothing of a message that is too large, and ends',
  async (protocol) => {
    const { broker, look, pass } = await setup({}, { protocol });
    const { onlooker, peer } = await look('#');
    await peer.inStep();
    // The head of a PUBLISH, of which the 256 MB never come.
    peer.socket.write(Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f));
    await onlooker.told(1);
    expect(onlooker.notes).toEqual([
      'connection home cannot be looked at: the broker sends a message of more than 1 MiB, which is not taken; look with a filter that is narrower than #',
    ]);
    pass(600_000);
    expect(broker.peers).toHaveLength(2);
  },
);

test('has a client id that every broker takes, or one as long as it has taken', async () => {
  const idOf = async (clientId: string): Promise<unknown> => {
    const { look } = await setup({}, { clientId });
    await look('#');
    const { peer } = await look('#');
    return (await peer.got('connect'))[0]?.clientId;
  };
  expect(await idOf('mqtt2exist-0123abcd-2')).toBe('mqtt2exist-0123abcd--w2');
  expect(await idOf('the-bridge-of-our-living-room')).toBe('the-bridge-of-our-living-r-w2');
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
