import { expect, test } from 'vitest';
import { connectMqtt, Mailbox, publishPacket, RawClient, setup } from './setup.ts';

const ofTest = ({ topic }: { topic: string }): boolean => topic !== 'end-of-test';

async function subscribed(port: number, filter: string | string[], qos: 0 | 1 | 2 = 1): Promise<Mailbox> {
  const client = await connectMqtt(port);
  const mailbox = new Mailbox(client);
  await client.subscribeAsync(filter, { qos });
  return mailbox;
}

test('a new subscriber gets the retained message with the flag, a present one without', async () => {
  const { port } = await setup();
  const present = await subscribed(port, 'home/+');
  const device = await connectMqtt(port);
  await device.publishAsync('home/door', 'open', { qos: 1, retain: true });
  await present.until(1);
  expect(present.received).toEqual([
    { topic: 'home/door', payload: 'open', qos: 1, retain: false, dup: false },
  ]);
  const late = await subscribed(port, 'home/+');
  await late.until(1);
  expect(late.received).toEqual([{ topic: 'home/door', payload: 'open', qos: 1, retain: true, dup: false }]);
});

test('an empty retained message takes the last one away', async () => {
  const { port } = await setup();
  const device = await connectMqtt(port);
  await device.publishAsync('a', 'x', { qos: 1, retain: true });
  await device.publishAsync('a', '', { qos: 1, retain: true });
  const late = await subscribed(port, 'a');
  await late.settle(port);
  expect(late.received).toEqual([]);
});

test('wildcards at the beginning do not find $-topics, live or retained', async () => {
  const { port } = await setup();
  const device = await connectMqtt(port);
  const present = await subscribed(port, ['#', '+/b']);
  await device.publishAsync('$a/b', 'x', { qos: 1, retain: true });
  const late = await subscribed(port, ['#', '+/b']);
  const named = await subscribed(port, '$a/#');
  await named.until(1);
  await present.settle(port);
  await late.settle(port);
  expect(present.received.filter(ofTest)).toEqual([]);
  expect(late.received.filter(ofTest)).toEqual([]);
  expect(named.payloads).toEqual(['x']);
});

test('retained messages are bounded; what has no room is forwarded all the same', async () => {
  const { broker, port } = await setup({ limits: { retainedMessages: 2, retainedBytes: 100 } });
  const present = await subscribed(port, '#');
  const device = await connectMqtt(port);
  for (const topic of ['a', 'b', 'c']) await device.publishAsync(topic, topic, { qos: 1, retain: true });
  // Too large: the old value must not stand in its place.
  await device.publishAsync('a', 'x'.repeat(200), { qos: 1, retain: true });
  await present.until(4);
  expect(broker.counters.droppedRetained).toBe(2);
  const late = await subscribed(port, '#');
  await late.until(1);
  expect(late.payloads).toEqual(['b']);
});

test('no message is forwarded with a higher QoS than was asked for', async () => {
  const { port } = await setup();
  const device = await connectMqtt(port);
  await device.publishAsync('home/old', 'x', { qos: 2, retain: true });
  const least = await subscribed(port, 'home/+', 0);
  const middle = await subscribed(port, 'home/#', 1);
  await device.publishAsync('home/new', 'y', { qos: 2 });
  await Promise.all([least.until(2), middle.until(2)]);
  expect(least.received.map(({ qos }) => qos)).toEqual([0, 0]);
  expect(middle.received.map(({ qos }) => qos)).toEqual([1, 1]);
});

test('the DUP flag of a publisher is its own', async () => {
  const { port } = await setup();
  const subscriber = await subscribed(port, 'a');
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('a', 'x', { qos: 1, messageId: 1, dup: true }));
  await subscriber.until(1);
  expect(subscriber.received[0]?.dup).toBe(false);
});

test('a persistent session gets what was published while its client was away', async () => {
  const { port } = await setup();
  const away = await connectMqtt(port, { clientId: 'away', clean: false });
  await away.subscribeAsync(['+/door', 'plain'], { qos: 1 });
  await away.endAsync();
  const device = await connectMqtt(port);
  await device.publishAsync('/door', 'one', { qos: 1, retain: true });
  await device.publishAsync('b/door', 'two', { qos: 2 });
  await device.publishAsync('plain', 'QoS 0 does not wait');
  const back = await RawClient.open(port);
  back.send({ cmd: 'connect', clientId: 'away', clean: false, keepalive: 60 });
  expect((await back.next('connack')).sessionPresent).toBe(true);
  const first = await back.next('publish');
  const second = await back.next('publish');
  expect(
    [first, second].map(({ payload, qos, dup, retain }) => [payload.toString(), qos, dup, retain]),
  ).toEqual([
    ['one', 1, false, false],
    ['two', 1, false, false],
  ]);
  back.send({ cmd: 'puback', messageId: first.messageId ?? 0 });
  await back.ping();
  back.socket.destroy();
  await back.closed;
  const again = await RawClient.open(port);
  again.send({ cmd: 'connect', clientId: 'away', clean: false, keepalive: 60 });
  const resent = await again.next('publish');
  expect([resent.payload.toString(), resent.dup]).toEqual(['two', true]);
  await again.ping();
  expect(again.received.filter(({ cmd }) => cmd === 'publish')).toEqual([]);
});

test('a QoS 2 message to a session is finished where it was left off', async () => {
  const { port } = await setup();
  const subscriber = await RawClient.connected(port, 'sub', false);
  subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 2 }] });
  await subscriber.next('suback');
  const device = await connectMqtt(port);
  await device.publishAsync('a', 'x', { qos: 2 });
  const { messageId = 0 } = await subscriber.next('publish');
  subscriber.send({ cmd: 'pubrec', messageId });
  await subscriber.next('pubrel');
  subscriber.socket.destroy();
  await subscriber.closed;
  const back = await RawClient.connected(port, 'sub', false);
  expect((await back.next('pubrel')).messageId).toBe(messageId);
  back.send({ cmd: 'pubcomp', messageId });
  await back.ping();
  back.socket.destroy();
  await back.closed;
  const last = await RawClient.connected(port, 'sub', false);
  await last.ping();
  expect(last.received).toEqual([]);
});

test('a connected persistent subscriber of +/door gets a publish to /door', async () => {
  const { port } = await setup();
  const client = await connectMqtt(port, { clientId: 'sub', clean: false });
  const mailbox = new Mailbox(client);
  await client.subscribeAsync('+/door', { qos: 1 });
  const device = await connectMqtt(port);
  await device.publishAsync('/door', 'x', { qos: 1 });
  await mailbox.until(1);
  expect(client.connected).toBe(true);
});

test('a clean session forgets the one before it', async () => {
  const { port } = await setup();
  const away = await connectMqtt(port, { clientId: 'away', clean: false });
  await away.subscribeAsync('a', { qos: 1 });
  await away.endAsync();
  const clean = await RawClient.connected(port, 'away', true);
  clean.send({ cmd: 'disconnect' });
  await clean.closed;
  const back = await RawClient.open(port);
  back.send({ cmd: 'connect', clientId: 'away', clean: false, keepalive: 60 });
  expect((await back.next('connack')).sessionPresent).toBe(false);
});

test('the queue of a session is bounded, and a connected client gets its messages beyond it', async () => {
  const { broker, port } = await setup({ limits: { queuedMessages: 2 } });
  const client = await RawClient.connected(port, 'sub', false);
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] });
  await client.next('suback');
  const device = await connectMqtt(port);
  for (const payload of ['1', '2', '3']) await device.publishAsync('a', payload, { qos: 1 });
  // Nothing is acknowledged: the first two stay queued.
  for (const payload of ['1', '2', '3'])
    expect((await client.next('publish')).payload.toString()).toBe(payload);
  expect(broker.counters.droppedQueued).toBe(1);
  await client.ping();
});

test('sessions are bounded: the longest unused one makes room', async () => {
  const { port } = await setup({ limits: { sessions: 2 } });
  for (const clientId of ['a', 'b', 'c']) {
    const client = await connectMqtt(port, { clientId, clean: false });
    await client.subscribeAsync('x', { qos: 1 });
    await client.endAsync();
  }
  const present: string[] = [];
  for (const clientId of ['a', 'b', 'c']) {
    const client = await RawClient.open(port);
    client.send({ cmd: 'connect', clientId, clean: false, keepalive: 60 });
    if ((await client.next('connack')).sessionPresent) present.push(clientId);
  }
  expect(present).toEqual(['b', 'c']);
});

test('replays wait for the socket: a subscriber gets all of them, whatever their size', async () => {
  const { broker, port } = await setup({ limits: { backlogBytes: 20_000 } });
  const away = await connectMqtt(port, { clientId: 'away', clean: false });
  await away.subscribeAsync('queued/#', { qos: 1 });
  await away.endAsync();
  const device = await connectMqtt(port);
  for (let count = 0; count < 60; count += 1) {
    await device.publishAsync(`kept/${count}`, 'x'.repeat(9_000), { qos: 1, retain: true });
    await device.publishAsync(`queued/${count}`, 'x'.repeat(9_000), { qos: 1 });
  }
  const late = await subscribed(port, 'kept/#');
  await late.until(60);
  const back = await RawClient.connected(port, 'away', false);
  for (let count = 0; count < 60; count += 1) {
    expect((await back.next('publish')).topic).toBe(`queued/${count}`);
  }
  expect(broker.counters.droppedForwards).toBe(0);
});

test('the will of a client that vanishes reaches the inlet and the subscribers', async () => {
  const { inlet, port } = await setup();
  const subscriber = await subscribed(port, 'home/#');
  const client = await RawClient.open(port);
  const will = { topic: 'home/state', payload: Buffer.from('offline'), qos: 1 as const, retain: true };
  client.send({ cmd: 'connect', clientId: 'plug', clean: true, keepalive: 60, will });
  await client.next('connack');
  client.socket.destroy();
  await inlet.taken(1);
  expect(inlet.takes[0]?.publish).toEqual({
    topic: 'home/state',
    payload: Buffer.from('offline'),
    qos: 1,
    retain: true,
    dup: false,
    packetId: undefined,
    clientId: 'plug',
  });
  await subscriber.until(1);
  const late = await subscribed(port, 'home/#');
  await late.until(1);
  expect(late.payloads).toEqual(['offline']);
});

test('a client that says goodbye leaves no will', async () => {
  const { inlet, port } = await setup();
  const client = await connectMqtt(port, {
    will: { topic: 'a', payload: Buffer.from('x'), qos: 1, retain: false },
  });
  await client.endAsync();
  const other = await connectMqtt(port);
  await other.publishAsync('b', 'y', { qos: 1 });
  expect(inlet.payloads).toEqual(['y']);
});

test('a client id in use is taken over by the newcomer', async () => {
  const { broker, port } = await setup();
  const first = await RawClient.connected(port, 'same');
  const second = await RawClient.connected(port, 'same');
  await first.closed;
  await second.ping();
  expect(broker.clientCount).toBe(1);
});

test('the bridge’s own messages reach subscribers and not the inlet', async () => {
  const { broker, inlet, port } = await setup();
  await broker.publish({ topic: 'mqtt2exist/x/availability', payload: 'online', qos: 1, retain: true });
  const late = await subscribed(port, 'mqtt2exist/#');
  await late.until(1);
  expect(late.payloads).toEqual(['online']);
  expect(inlet.takes).toEqual([]);
});
