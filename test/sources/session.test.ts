import { describe, expect, test } from 'vitest';
import { MemoryStore, message, rawBroker, startSource } from './setup.ts';

const will = { topic: 'mqtt2exist/0123abcd/availability', payload: 'offline' };

describe('a connection', () => {
  test('is a persistent session with bounds and a last will', async () => {
    const broker = await rawBroker();
    startSource({ port: broker.port, username: 'bridge', password: 'a b' }, ['home/#'], { will });
    const [connect] = await (await broker.peer(0)).got('connect');
    expect(connect).toMatchObject({
      protocolVersion: 5,
      clean: false,
      clientId: 'mqtt2exist-0123abcd',
      keepalive: 30,
      username: 'bridge',
      password: Buffer.from('a b'),
      will: { topic: will.topic, payload: Buffer.from('offline'), retain: true, qos: 1 },
      properties: { sessionExpiryInterval: 2_592_000, maximumPacketSize: 1_048_576 },
    });
    // Mosquitto 2.0.11 breaks it, and the client library would hang up.
    expect(connect?.properties).not.toHaveProperty('receiveMaximum');
  });

  test('asks for live messages without the flag, and for retained ones only where the subscription is new', async () => {
    const broker = await rawBroker();
    startSource({ port: broker.port }, ['home/#', 'home/door']);
    const [subscribe] = await (await broker.peer(0)).got('subscribe');
    expect(subscribe?.subscriptions).toEqual([{ topic: 'home/#', qos: 2, nl: true, rap: false, rh: 1 }]);
  });

  test('to a broker that does not speak MQTT 5 uses 3.1.1 from then on', async () => {
    const broker = await rawBroker({ speaks: [4] });
    const { reaches, logged } = startSource({ port: broker.port }, ['home/#']);
    await reaches('connected');
    expect(broker.peers.length).toBe(2);
    broker.peers[1]?.socket.destroy();
    const [connect] = await (await broker.peer(2)).got('connect');
    expect(connect?.protocolVersion).toBe(4);
    expect(logged.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(1);
  });

  test('to a broker that hangs up on MQTT 5 tries 3.1.1', async () => {
    const broker = await rawBroker({ connack: (index) => (index === 0 ? 'hang up' : {}) });
    const { reaches, source } = startSource({ port: broker.port }, ['home/#']);
    await reaches('down');
    expect(source.status().lastError).toBe('the broker closed the connection without an answer');
    await reaches('connected');
    const [connect] = await (await broker.peer(1)).got('connect');
    expect(connect?.protocolVersion).toBe(4);
  });

  test('with a chosen version keeps to it', async () => {
    const broker = await rawBroker({ speaks: [4] });
    const { reaches, source } = startSource({ port: broker.port, protocol: 5 }, ['home/#']);
    await broker.peer(2);
    await reaches('down');
    expect(source.status().lastError).toBe('the broker does not speak this version of MQTT');
  });

  test('says once that it is lost, keeps trying, and says once that it is back', async () => {
    const broker = await rawBroker({ connack: (index) => (index >= 1 && index <= 4 ? 'hang up' : {}) });
    const { reaches, logged, source } = startSource({ port: broker.port, protocol: 5 }, ['home/#']);
    await reaches('connected');
    broker.peers[0]?.socket.destroy();
    await reaches('down');
    expect(source.status().state).toBe('down');
    await reaches('connected');
    const url = `mqtt://127.0.0.1:${broker.port}`;
    expect(logged.filter(({ level }) => level !== 'debug')).toEqual([
      { level: 'info', message: `connection test (${url}) is connected` },
      {
        level: 'warn',
        message: `connection test (${url}) is lost: the broker closed the connection; it is tried again`,
      },
      { level: 'info', message: `connection test (${url}) is back` },
    ]);
    expect(broker.peers.length).toBe(6);
  });

  test('that is refused says why', async () => {
    const broker = await rawBroker({ connack: () => ({ reasonCode: 0x86 }) });
    const { reaches, source } = startSource({ port: broker.port, username: 'bridge', password: 'secret' }, [
      'home/#',
    ]);
    await reaches('down');
    expect(source.status().lastError).toBe('the broker refuses user name or password');
    expect(JSON.stringify(source.status())).not.toContain('secret');
  });

  test('that another client took over says what to do', async () => {
    const broker = await rawBroker();
    const { reaches, source } = startSource({ port: broker.port }, ['home/#']);
    await reaches('connected');
    broker.peers[0]?.send({ cmd: 'disconnect', reasonCode: 0x8e });
    await reaches('down');
    expect(source.status().lastError).toContain('another client_id');
  });

  test('that falls silent is given up', async () => {
    const broker = await rawBroker({ answersPings: false });
    const { reaches, source } = startSource({ port: broker.port, keepAliveS: 1 }, ['home/#']);
    await reaches('connected');
    await reaches('down');
    expect(source.status().lastError).toBe('no answer to a ping in time');
  });

  test('that sends what is not MQTT is given up', async () => {
    const broker = await rawBroker();
    const { reaches } = startSource({ port: broker.port }, ['home/#']);
    await reaches('connected');
    broker.peers[0]?.socket.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await reaches('down');
  });

  test('that cannot be written down takes nothing, and is tried again', async () => {
    const broker = await rawBroker({
      connack: () => ({ sessionPresent: false }),
      early: () => [message('x')],
    });
    const store = new MemoryStore();
    store.failure = new Error('the disk is full');
    const { reaches, source, inlet } = startSource({ port: broker.port }, ['home/#'], { store });
    await reaches('down');
    expect(source.status().lastError).toContain('the disk is full');
    expect(inlet.takes).toEqual([]);
    store.failure = undefined;
    await reaches('connected');
    await inlet.taken(1);
  });
});

describe('what is subscribed', () => {
  test('is forgotten by the broker when the configuration forgets it, also after a restart', async () => {
    const store = new MemoryStore();
    const broker = await rawBroker();
    const first = startSource({ port: broker.port }, ['home/door', 'home/tap'], { store });
    await (await broker.peer(0)).got('subscribe');
    while (Object.values([...store.records.values()][0]?.filters ?? {}).includes(null))
      await new Promise((resolve) => setImmediate(resolve));
    await first.source.stop();
    startSource({ port: broker.port }, ['home/tap', 'garden/#'], { store });
    const peer = await broker.peer(1);
    const [unsubscribe] = await peer.got('unsubscribe');
    expect(unsubscribe?.unsubscriptions).toEqual(['home/door']);
    while (store.filters.includes('home/door')) await new Promise((resolve) => setImmediate(resolve));
    expect(store.filters).toEqual(['home/tap', 'garden/#']);
  });

  test('follows the configuration while connected', async () => {
    const broker = await rawBroker();
    const { source, reaches } = startSource({ port: broker.port }, ['home/door', 'home/tap']);
    await reaches('connected');
    const peer = await broker.peer(0);
    await peer.got('subscribe');
    source.reconfigure(['home/tap', 'home/+/lid']);
    const [, second] = await peer.got('subscribe', 2);
    expect(second?.subscriptions.map(({ topic }) => topic)).toEqual(['home/+/lid']);
    expect((await peer.got('unsubscribe'))[0]?.unsubscriptions).toEqual(['home/door']);
  });

  test('is let go before a wider filter takes its place, so that nothing comes twice', async () => {
    const broker = await rawBroker();
    const { source, reaches } = startSource({ port: broker.port }, ['home/door']);
    await reaches('connected');
    const peer = await broker.peer(0);
    await peer.got('subscribe');
    source.reconfigure(['home/#']);
    await peer.got('subscribe', 2);
    const order = peer.packets.map(({ cmd }) => cmd).filter((cmd) => cmd.endsWith('subscribe'));
    expect(order).toEqual(['subscribe', 'unsubscribe', 'subscribe']);
  });

  test('is asked for again with a session that is present only where nothing is replayed for it', async () => {
    for (const [protocol, again] of [
      [5, 1],
      [4, 0],
    ] as const) {
      const broker = await rawBroker();
      const { reaches, store } = startSource({ port: broker.port, protocol }, ['home/door']);
      await (await broker.peer(0)).got('subscribe');
      while (Object.values([...store.records.values()][0]?.filters ?? {})[0] !== 2)
        await new Promise((resolve) => setImmediate(resolve));
      broker.peers[0]?.socket.destroy();
      const peer = await broker.peer(1);
      await reaches('connected');
      await peer.inStep();
      expect(peer.packets.filter(({ cmd }) => cmd === 'subscribe').length).toBe(again);
    }
  });

  test('is asked for again where the broker has lost the session', async () => {
    const broker = await rawBroker({ connack: () => ({ sessionPresent: false }) });
    const { store } = startSource({ port: broker.port, protocol: 4 }, ['home/door']);
    await (await broker.peer(0)).got('subscribe');
    const before = [...store.records.values()][0]?.session;
    broker.peers[0]?.socket.destroy();
    await (await broker.peer(1)).got('subscribe');
    expect([...store.records.values()][0]?.session).not.toBe(before);
  });

  test('and refused is told, and tried again with the next connection', async () => {
    const broker = await rawBroker({ granted: (filter) => (filter === 'secret/#' ? 0x87 : 2) });
    const { source, logged } = startSource({ port: broker.port }, ['home/door', 'secret/#']);
    await broker.peer(0);
    while (source.status().trouble === undefined) await new Promise((resolve) => setImmediate(resolve));
    expect(source.status().trouble).toContain(
      'refuses the subscription to secret/#: this user may not read it',
    );
    expect(logged.map(({ message: text }) => text)).toContain(
      `connection test (mqtt://127.0.0.1:${broker.port}) refuses subscriptions`,
    );
    broker.peers[0]?.socket.destroy();
    const [subscribe] = await (await broker.peer(1)).got('subscribe');
    expect(subscribe?.subscriptions.map(({ topic }) => topic)).toEqual(['home/door', 'secret/#']);
  });

  test('and taken out with its connection is left, and the session with it', async () => {
    const broker = await rawBroker();
    const { source, store } = startSource({ port: broker.port }, ['home/door']);
    const peer = await broker.peer(0);
    await peer.got('subscribe');
    while (source.status().state !== 'connected') await new Promise((resolve) => setImmediate(resolve));
    await source.leave();
    expect((await peer.got('unsubscribe'))[0]?.unsubscriptions).toEqual(['home/door']);
    expect((await peer.got('disconnect'))[0]?.properties).toEqual({ sessionExpiryInterval: 0 });
    expect(store.records.size).toBe(0);
  });

  test('is never the bridge’s own', async () => {
    const broker = await rawBroker();
    const { inlet, source } = startSource({ port: broker.port }, ['#', 'mqtt2exist/x/#']);
    const peer = await broker.peer(0);
    expect((await peer.got('subscribe'))[0]?.subscriptions.map(({ topic }) => topic)).toEqual(['#']);
    peer.send(
      message('online', { topic: 'mqtt2exist/0123abcd/availability' }),
      message('press', { messageId: 2 }),
    );
    await peer.got('puback', 2);
    expect(inlet.payloads).toEqual(['press']);
    expect(source.status().messages).toBe(1);
  });
});

describe('a retained message', () => {
  test('delivered because of the subscription is handed over as a replay, a live one is not', async () => {
    const broker = await rawBroker();
    const { inlet } = startSource({ port: broker.port }, ['home/#']);
    const peer = await broker.peer(0);
    await peer.got('subscribe');
    peer.send(message('open', { retain: true, messageId: 1 }), message('closed', { messageId: 2 }));
    const [replayed, live] = await inlet.taken(2);
    expect(replayed?.publish).toMatchObject({ replay: true, retain: true });
    expect(live?.publish).toMatchObject({ replay: false, retain: false });
  });
});

describe('what the bridge tells', () => {
  test('reaches the broker when it is told, and again with each connection', async () => {
    const broker = await rawBroker();
    const { source, announcements, reaches } = startSource({ port: broker.port }, ['home/#']);
    const online = { topic: will.topic, payload: 'online' };
    announcements.set(online.topic, online.payload);
    source.publish(online);
    const [first] = await (await broker.peer(0)).got('publish');
    expect(first).toMatchObject({ ...online, payload: Buffer.from('online'), retain: true, qos: 1 });
    await reaches('connected');
    source.publish({ topic: 'mqtt2exist/0123abcd/status', payload: '{}' });
    await (await broker.peer(0)).got('publish', 2);
    broker.peers[0]?.socket.destroy();
    const [again] = await (await broker.peer(1)).got('publish');
    expect(again).toMatchObject({ topic: online.topic });
  });
});
