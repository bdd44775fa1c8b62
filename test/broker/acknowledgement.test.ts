import { expect, test } from 'vitest';
import { connectMqtt, Mailbox, publishPacket, RawClient, setup } from './setup.ts';

test('a QoS 1 publish is acknowledged only after the inlet is done with it', async () => {
  const { inlet, port } = await setup();
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('home/door', 'open', { qos: 1, messageId: 7 }));
  await inlet.taken(1);
  await device.ping();
  expect(device.received).toEqual([]);
  inlet.letGo();
  expect((await device.next('puback')).messageId).toBe(7);
});

test('a QoS 2 publish is received only after the inlet is done with it', async () => {
  const { inlet, port } = await setup();
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('home/door', 'open', { qos: 2, messageId: 7 }));
  await inlet.taken(1);
  await device.ping();
  expect(device.received).toEqual([]);
  inlet.letGo();
  expect((await device.next('pubrec')).messageId).toBe(7);
});

test('the inlet is told what the device sent', async () => {
  const { inlet, port } = await setup();
  const device = await RawClient.connected(port, 'door');
  device.send(
    publishPacket('home/a', 'x'),
    publishPacket('home/b', 'y', { qos: 1, messageId: 9, dup: true, retain: true }),
  );
  await device.next('puback');
  expect(inlet.takes.map(({ publish }) => publish)).toEqual([
    {
      topic: 'home/a',
      payload: Buffer.from('x'),
      qos: 0,
      retain: false,
      dup: false,
      packetId: undefined,
      clientId: 'door',
    },
    {
      topic: 'home/b',
      payload: Buffer.from('y'),
      qos: 1,
      retain: true,
      dup: true,
      packetId: 9,
      clientId: 'door',
    },
  ]);
});

test.each([1, 2] as const)('what the inlet refuses is not acknowledged, QoS %i', async (qos) => {
  const { broker, inlet, port } = await setup();
  inlet.verdict = () => [new Error('disk full')];
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('home/door', 'open', { qos, messageId: 7 }));
  await device.closed;
  expect(device.received).toEqual([]);
  expect(broker.counters.refusedPublishes.inlet).toBe(1);
});

test('an inlet that throws costs a connection, not the process', async () => {
  const { inlet, port, logged } = await setup();
  inlet.verdict = () => {
    throw new Error('a bug');
  };
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('home/door', 'open', { qos: 1, messageId: 7 }));
  await device.closed;
  expect(logged).toContainEqual({ level: 'error', message: 'broker failed' });
});

test('an inlet that is done twice acknowledges once', async () => {
  const { inlet, port } = await setup();
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('home/door', 'open', { qos: 1, messageId: 7 }));
  await inlet.taken(1);
  for (const { done } of inlet.held) {
    done();
    done(new Error('too late'));
  }
  await device.next('puback');
  await device.ping();
  expect(device.received).toEqual([]);
});

test('one client that waits for its acknowledgement does not hold up another', async () => {
  const { inlet, port } = await setup();
  inlet.isHolding = true;
  const slow = await RawClient.connected(port, 'slow');
  slow.send(publishPacket('a', 'x', { qos: 1, messageId: 1 }));
  await inlet.taken(1);
  inlet.isHolding = false;
  const quick = await RawClient.connected(port, 'quick');
  quick.send(publishPacket('b', 'y', { qos: 1, messageId: 2 }));
  expect((await quick.next('puback')).messageId).toBe(2);
  expect(slow.received).toEqual([]);
});

test('acknowledgements come in the order of the publishes', async () => {
  const { inlet, port } = await setup();
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  const ids = Array.from({ length: 50 }, (_, index) => index + 1);
  device.send(...ids.map((messageId) => publishPacket('a', String(messageId), { qos: 1, messageId })));
  await inlet.taken(1);
  inlet.letGo();
  for (const id of ids) expect((await device.next('puback')).messageId).toBe(id);
});

test.each([0, 1] as const)(
  'packets that came in one piece and are done at once are each taken once, QoS %i',
  async (qos) => {
    const { inlet, port } = await setup();
    // What is more than a newcomer may say at once is put back, and read again.
    const device = await RawClient.connected(port, 'door');
    const payloads = Array.from({ length: 200 }, (_, index) => 'x'.repeat(index % 7) + String(index));
    device.send(
      ...payloads.map((payload, index) => publishPacket('a', payload, { qos, messageId: index + 1 })),
    );
    device.socket.end();
    await device.closed;
    expect(inlet.payloads).toEqual(payloads);
  },
);

test('a publish whose connection broke before it was stored is still the inlet’s', async () => {
  const { broker, inlet, port } = await setup();
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('a', 'x', { qos: 1, messageId: 1 }));
  await inlet.taken(1);
  device.socket.destroy();
  await device.closed;
  expect(broker.pending).toBe(1);
  inlet.letGo();
  expect(broker.pending).toBe(0);
  const again = await RawClient.connected(port, 'door');
  again.send(publishPacket('a', 'x', { qos: 1, messageId: 1, dup: true }));
  await again.next('puback');
  expect(inlet.takes.map(({ publish }) => publish.dup)).toEqual([false, true]);
});

test('a second copy is acknowledged and counted', async () => {
  const { broker, inlet, port } = await setup();
  inlet.verdict = ({ dup }) => [undefined, { duplicate: dup }];
  const device = await RawClient.connected(port, 'door');
  device.send(
    publishPacket('a', 'x', { qos: 1, messageId: 1 }),
    publishPacket('a', 'x', { qos: 1, messageId: 1, dup: true }),
  );
  await device.next('puback');
  await device.next('puback');
  expect(broker.counters.duplicates).toBe(1);
});

test.each([
  ['a topic with U+0000', publishPacket('a\0b', 'x', { qos: 1, messageId: 1 })],
  ['a topic with a lone surrogate', publishPacket('a/\uFFFD', 'x', { qos: 1, messageId: 1 })],
])('%s is not acknowledged and does not reach the inlet', async (_, packet) => {
  const { inlet, port, broker } = await setup();
  const device = await RawClient.connected(port, 'door');
  device.send(packet);
  await device.closed;
  expect(device.received).toEqual([]);
  expect(inlet.takes).toEqual([]);
  expect(broker.counters.refusedPublishes.invalid).toBe(1);
});

test.each([
  ['too long', 'a'.repeat(1025)],
  ['too deep', 'a/'.repeat(40)],
])('a topic that is %s is acknowledged, comes to nothing, and is told of', async (_, topic) => {
  const { inlet, port, broker, logged } = await setup();
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket(topic, 'x', { qos: 1, messageId: 1 }));
  expect(await device.next('puback')).toMatchObject({ messageId: 1 });
  expect(inlet.takes).toEqual([]);
  expect(broker.counters.topicsTooLarge).toBe(1);
  expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
});

test.each([
  ['a topic with a wildcard', [0x32, 7, 0, 3, 0x61, 0x2f, 0x23, 0, 1]],
  ['an empty topic', [0x32, 4, 0, 0, 0, 1]],
  ['packet id 0', [0x32, 5, 0, 1, 0x61, 0, 0]],
  ['no packet id at all', [0x32, 3, 0, 1, 0x61]],
  ['bytes that are not UTF-8', [0x32, 6, 0, 2, 0xc3, 0x28, 0, 1]],
  ['QoS 3', [0x36, 5, 0, 1, 0x61, 0, 1]],
])('a publish with %s is not acknowledged and does not reach the inlet', async (_, bytes) => {
  const { inlet, port } = await setup();
  const device = await RawClient.connected(port, 'door');
  device.write(...bytes);
  await device.closed;
  expect(device.received).toEqual([]);
  expect(inlet.takes).toEqual([]);
});

test.each([0, 1, 2] as const)('a publish to $SYS is acknowledged and dropped, QoS %i', async (qos) => {
  const { broker, inlet, port } = await setup();
  const victim = await connectMqtt(port, { clientId: 'victim' });
  await victim.subscribeAsync(['$SYS/#', '#'], { qos: 1 });
  const mailbox = new Mailbox(victim);
  const device = await connectMqtt(port);
  // Under this name brokers of a cluster tell each other to close a client's connection.
  await device.publishAsync('$SYS/other/new/clients', 'victim', { qos, retain: true });
  await device.publishAsync('home/a', 'x', { qos: 1 });
  await mailbox.settle(port);
  expect(mailbox.payloads).toEqual(['x']);
  expect(victim.connected).toBe(true);
  expect(inlet.payloads).toEqual(['x', '']);
  expect(broker.counters.discarded).toBe(1);
  const late = await connectMqtt(port);
  const lateMailbox = new Mailbox(late);
  await late.subscribeAsync('$SYS/#');
  await lateMailbox.settle(port);
  expect(lateMailbox.received).toEqual([]);
});
