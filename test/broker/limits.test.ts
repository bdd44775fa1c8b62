import { expect, test } from 'vitest';
import { connectMqtt, publishPacket, RawClient, setup, turns } from './setup.ts';

test('connections are bounded, and a place that is given up is free again', async () => {
  const { broker, port } = await setup({ limits: { connections: 2 } });
  const first = await RawClient.connected(port, 'a');
  await RawClient.connected(port, 'b');
  const third = await RawClient.open(port);
  await third.closed;
  expect(broker.counters.refusedConnections.too_many).toBe(1);
  expect(broker.clientCount).toBe(2);
  first.send({ cmd: 'disconnect' });
  await first.closed;
  await RawClient.connected(port, 'c');
  expect(broker.clientCount).toBe(2);
});

test('connections are bounded over all listeners together', async () => {
  const localhost = { host: '127.0.0.1', port: 0 };
  const { broker, ports } = await setup({ listen: [localhost, localhost], limits: { connections: 1 } });
  const [one = 0, two = 0] = ports;
  await RawClient.connected(one, 'a');
  const second = await RawClient.open(two);
  await second.closed;
  expect(broker.counters.refusedConnections.too_many).toBe(1);
});

test('connections of one address are bounded', async () => {
  const { broker, port } = await setup({ limits: { connectionsPerAddress: 1 } });
  await RawClient.connected(port, 'a');
  const second = await RawClient.open(port);
  await second.closed;
  expect(broker.counters.refusedConnections.too_many_from_address).toBe(1);
});

test('a connection whose turn does not come in time is told apart from one that says nothing', async () => {
  const { broker, port } = await setup({
    limits: { connectionsPerAddress: 1, connectionsPerSecond: 1, connectTimeoutMs: 40 },
  });
  const first = await RawClient.connected(port, 'a');
  first.send({ cmd: 'disconnect' });
  await first.closed;
  const second = await RawClient.open(port);
  await second.closed;
  expect(broker.counters.refusedConnections).toMatchObject({ too_fast: 1, connect_timeout: 0 });
});

test.each([
  ['says nothing', []],
  ['stops in the middle of its CONNECT', [0x10, 12, 0, 4]],
])('a client that %s is closed after the connect timeout', async (_, bytes) => {
  const { broker, port } = await setup({ limits: { connectTimeoutMs: 30 } });
  const client = await RawClient.open(port);
  client.write(...bytes);
  await client.closed;
  expect(broker.counters.refusedConnections.connect_timeout).toBe(1);
});

test('dripping bytes do not stretch the connect timeout, and a connected client outlives it', async () => {
  const { broker, port } = await setup({ limits: { connectTimeoutMs: 60 } });
  const honest = await RawClient.connected(port, 'honest');
  const client = await RawClient.open(port);
  client.write(0x10, 100, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60);
  const drip = setInterval(() => client.write(0), 5);
  await client.closed;
  clearInterval(drip);
  expect(broker.counters.refusedConnections.connect_timeout).toBe(1);
  await honest.ping();
});

test.each([
  ['no client id and a persistent session', '', false],
  ['a client id that is too long', 'x'.repeat(257), true],
  ['a client id with NUL', 'a\0b', true],
])('%s is refused with return code 2', async (_, clientId, clean) => {
  const { broker, port } = await setup();
  const client = await RawClient.open(port);
  client.send({ cmd: 'connect', clientId: 'x', clean: true, keepalive: 60 });
  const refused = await RawClient.open(port);
  // The generator refuses to make such a packet: its parts are put together by hand.
  const id = Buffer.from(clientId);
  const body = Buffer.concat([
    Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, clean ? 2 : 0, 0, 60, id.length >> 8, id.length & 0xff]),
    id,
  ]);
  const length = body.length < 128 ? [body.length] : [(body.length % 128) | 0x80, body.length >> 7];
  refused.write(0x10, ...length, ...body);
  expect(await refused.next('connack')).toMatchObject({ returnCode: 2 });
  await refused.closed;
  expect(broker.counters.refusedConnections.client_id).toBe(1);
  expect((await client.next('connack')).returnCode).toBe(0);
});

test('no client id and a clean session is given one', async () => {
  const { inlet, port } = await setup();
  const client = await RawClient.open(port);
  client.send({ cmd: 'connect', clientId: '', clean: true, keepalive: 60 });
  await client.next('connack');
  client.send(publishPacket('a', 'x', { qos: 1, messageId: 1 }));
  await client.next('puback');
  expect(inlet.takes[0]?.publish.clientId).toMatch(/./);
});

test('too many readings in all are refused without acknowledgement', async () => {
  const { broker, inlet, port } = await setup({ limits: { pendingReadings: 3 } });
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'a');
  for (let messageId = 1; messageId <= 3; messageId += 1) {
    device.send(publishPacket('a', 'x', { qos: 1, messageId }));
  }
  await inlet.taken(3);
  const other = await RawClient.connected(port, 'b');
  other.send(publishPacket('a', 'x', { qos: 1, messageId: 4 }));
  await other.closed;
  expect(other.received).toEqual([]);
  expect(broker.counters.refusedPublishes.overload).toBe(1);
  inlet.letGo();
  for (let count = 0; count < 3; count += 1) await device.next('puback');
  const later = await RawClient.connected(port, 'b');
  later.send(publishPacket('a', 'x', { qos: 1, messageId: 4, dup: true }));
  await later.next('puback');
});

test('the bytes of waiting readings are bounded, but one publish always fits', async () => {
  const { broker, inlet, port } = await setup({ limits: { pendingBytes: 1_000 } });
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'a');
  device.send(publishPacket('a', 'x'.repeat(5_000), { qos: 1, messageId: 1 }));
  await inlet.taken(1);
  const other = await RawClient.connected(port, 'b');
  other.send(publishPacket('a', 'x', { qos: 1, messageId: 1 }));
  await other.closed;
  expect(broker.counters.refusedPublishes.overload).toBe(1);
});

test('a flooding client is slowed down, not cut off, and loses nothing', async () => {
  const total = 2_000;
  const { broker, inlet, port } = await setup({ limits: { pendingPerConnection: 20 } });
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'a');
  for (let messageId = 1; messageId <= total; messageId += 1) {
    // One packet a segment: the way that gets past aedes' own back-pressure.
    device.send(publishPacket('a', 'x'.repeat(100), { qos: 1, messageId }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const other = await RawClient.connected(port, 'b');
  await other.ping();
  expect(broker.pending).toBeGreaterThan(0);
  expect(broker.pending).toBeLessThan(1_000);
  inlet.letGo();
  for (let messageId = 1; messageId <= total; messageId += 1) {
    expect((await device.next('puback')).messageId).toBe(messageId);
  }
  expect(inlet.takes.length).toBe(total);
});

test('packets sent along with the CONNECT keep their order with those that follow', async () => {
  const { broker, inlet, port } = await setup();
  // What waits for its session takes a while to send: time enough for a later packet to get ahead.
  const before = await RawClient.connected(port, 'hasty', false);
  before.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'waiting', qos: 1 }] });
  await before.next('suback');
  before.send({ cmd: 'disconnect' });
  await before.closed;
  for (let count = 0; count < 100; count += 1) {
    await broker.publish({ topic: 'waiting', payload: 'x', qos: 1, retain: false });
  }
  const device = await RawClient.open(port);
  const numbers = Array.from({ length: 20 }, (_, index) => String(index));
  const [first, ...rest] = numbers.map((number, index) =>
    publishPacket('a', number, { qos: 1, messageId: index + 1 }),
  );
  const connect = { cmd: 'connect', clientId: 'hasty', clean: false, keepalive: 60 } as const;
  device.send(connect, ...(first ? [first] : []));
  for (const publish of rest) {
    await turns(1);
    device.send(publish);
  }
  await inlet.taken(numbers.length);
  expect(inlet.payloads).toEqual(numbers);
});

test('subscriptions are bounded, and those that are malformed or shared are refused', async () => {
  const { port } = await setup({ limits: { subscriptionsPerClient: 2 } });
  const client = await RawClient.connected(port, 'a');
  const subscribe = async (...topics: string[]): Promise<unknown> => {
    const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    return (await client.next('suback')).granted;
  };
  expect(await subscribe('$share/g/a', '+a', 'a/'.repeat(40), 'x'.repeat(2_000))).toEqual([
    0x80, 0x80, 0x80, 0x80,
  ]);
  expect(await subscribe('a', 'b', 'c')).toEqual([1, 1, 0x80]);
  expect(await subscribe('a')).toEqual([1]);
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
  await client.next('unsuback');
  expect(await subscribe('c')).toEqual([1]);
});

test('a refused subscription does not stay in the session', async () => {
  const { port } = await setup();
  const client = await RawClient.connected(port, 'a', false);
  const subscriptions = ['x', '$share/g/x'].map((topic) => ({ topic, qos: 1 as const }));
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  expect((await client.next('suback')).granted).toEqual([1, 0x80]);
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['x'] });
  await client.next('unsuback');
  client.send({ cmd: 'disconnect' });
  await client.closed;
  const back = await RawClient.open(port);
  back.send({ cmd: 'connect', clientId: 'a', clean: false, keepalive: 60 });
  expect((await back.next('connack')).sessionPresent).toBe(false);
});

test('a will with a topic nobody may publish to is refused', async () => {
  const { broker, port } = await setup();
  const client = await RawClient.open(port);
  const will = { topic: 'a/#', payload: Buffer.from('x'), qos: 1 as const, retain: false };
  client.send({ cmd: 'connect', clientId: 'a', clean: true, keepalive: 60, will });
  await client.closed;
  expect(client.received).toEqual([]);
  expect(broker.counters.refusedConnections.will).toBe(1);
});

test('a subscriber that does not read costs bounded memory and holds nobody up', async () => {
  const { broker, inlet, port } = await setup({ limits: { backlogBytes: 64 * 1024 } });
  const stuck = await RawClient.connected(port, 'stuck');
  stuck.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] });
  await stuck.next('suback');
  const device = await connectMqtt(port);
  const payload = 'x'.repeat(50_000);
  await device.publishAsync('kept', payload, { qos: 1, retain: true });
  expect((await stuck.next('publish')).topic).toBe('kept');
  stuck.socket.pause();
  // More than the kernel buffers for a connection: from some point on, messages are dropped.
  while (broker.counters.droppedForwards === 0) await device.publishAsync('a', payload, { qos: 1 });
  const before = inlet.takes.length;
  for (let count = 0; count < 50; count += 1) await device.publishAsync('a', payload, { qos: 1 });
  expect(inlet.takes.length).toBe(before + 50);
  // What it asks for now waits until it reads again.
  expect(broker.counters.droppedForwards).toBeGreaterThan(40);
  stuck.send({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 'kept', qos: 0 }] });
  for (let count = 0; count < 5; count += 1) await device.publishAsync('a', payload, { qos: 1 });
  stuck.socket.resume();
  while ((await stuck.next('publish')).topic !== 'kept');
});
