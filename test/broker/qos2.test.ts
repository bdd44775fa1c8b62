import { once } from 'node:events';
import { expect, test } from 'vitest';
import { connectMqtt, Mailbox, publishPacket, RawClient, setup } from './setup.ts';

const first = publishPacket('a', 'x', { qos: 2, messageId: 1 });
const again = publishPacket('a', 'x', { qos: 2, messageId: 1, dup: true });
const release = { cmd: 'pubrel', messageId: 1, qos: 1, dup: false, retain: false } as const;

async function watch(port: number): Promise<Mailbox> {
  const subscriber = await connectMqtt(port);
  await subscriber.subscribeAsync('a', { qos: 2 });
  return new Mailbox(subscriber);
}

test('a whole exchange reaches the inlet once and ends with its release', async () => {
  const { inlet, port } = await setup();
  const mailbox = await watch(port);
  const device = await RawClient.connected(port, 'door', false);
  device.send(first);
  await device.next('pubrec');
  device.send(release);
  await device.next('pubcomp');
  expect(inlet.payloads).toEqual(['x']);
  expect(inlet.releases).toEqual([{ clientId: 'door', packetId: 1 }]);
  await mailbox.settle(port);
  expect(mailbox.payloads).toEqual(['x']);
});

test.each([
  ['the inlet knows it', true],
  ['the inlet keeps no track of the topic', false],
])('a second copy is acknowledged but not forwarded again: %s', async (_, knows) => {
  const { inlet, port } = await setup();
  if (knows) inlet.verdict = ({ dup }) => [undefined, { duplicate: dup }];
  const mailbox = await watch(port);
  const device = await RawClient.connected(port, 'door', false);
  device.send(first);
  await device.next('pubrec');
  device.socket.destroy();
  const back = await RawClient.connected(port, 'door', false);
  back.send(again);
  await back.next('pubrec');
  expect(inlet.takes.map(({ publish }) => publish.dup)).toEqual([false, true]);
  await mailbox.settle(port);
  expect(mailbox.payloads).toEqual(['x']);
});

test('two copies in one chunk reach the inlet in order, and one is forwarded', async () => {
  const { inlet, port } = await setup();
  const mailbox = await watch(port);
  const device = await RawClient.connected(port, 'door', false);
  inlet.isHolding = true;
  device.send(first, again);
  await inlet.taken(2);
  inlet.letGo();
  await device.next('pubrec');
  await device.next('pubrec');
  expect(inlet.takes.map(({ publish }) => publish.dup)).toEqual([false, true]);
  await mailbox.settle(port);
  expect(mailbox.payloads).toEqual(['x']);
});

test('after a restart of the broker a copy goes to the inlet again and a stray PUBREL is answered', async () => {
  const { inlet, port } = await setup();
  const device = await RawClient.connected(port, 'door', false);
  device.send(again);
  await device.next('pubrec');
  expect(inlet.payloads).toEqual(['x']);
  device.send({ ...release, messageId: 99 });
  expect((await device.next('pubcomp')).messageId).toBe(99);
  expect(inlet.releases).toEqual([{ clientId: 'door', packetId: 99 }]);
});

test('a PUBREL sent again is answered again', async () => {
  const { port } = await setup();
  const device = await RawClient.connected(port, 'door', false);
  device.send(first);
  await device.next('pubrec');
  device.send(release, release);
  await device.next('pubcomp');
  await device.next('pubcomp');
});

test.each([
  ['the inlet knows it', true],
  ['the inlet keeps no track of the topic', false],
])('a device that restarted and reuses a packet id loses no reading: %s', async (_, knows) => {
  const { inlet, port } = await setup();
  if (knows) inlet.verdict = ({ dup }) => [undefined, { duplicate: dup }];
  const mailbox = await watch(port);
  const device = await RawClient.connected(port, 'door', false);
  device.send(first);
  await device.next('pubrec');
  device.socket.destroy();
  const restarted = await RawClient.connected(port, 'door', false);
  restarted.send(publishPacket('a', 'new', { qos: 2, messageId: 1 }));
  await restarted.next('pubrec');
  expect(inlet.payloads).toEqual(['x', 'new']);
  await mailbox.settle(port);
  expect(mailbox.payloads).toEqual(['x', 'new']);
});

test('the inlet hears of a release only after every copy before it is done', async () => {
  const { inlet, port } = await setup();
  const device = await RawClient.connected(port, 'door', false);
  device.send(first);
  await device.next('pubrec');
  inlet.isHolding = true;
  device.send(again, release, { cmd: 'pingreq' });
  await inlet.taken(2);
  await device.next('pingresp');
  expect(inlet.releases).toEqual([]);
  const released = once(inlet, 'released');
  inlet.letGo();
  await released;
  await device.next('pubcomp');
});

test('a device may have a thousand exchanges open, then it is cut off', async () => {
  const { inlet, port } = await setup();
  const device = await RawClient.connected(port, 'door', false);
  for (let messageId = 1; messageId <= 1_001; messageId += 1) {
    device.send(publishPacket('a', 'x', { qos: 2, messageId }));
  }
  await device.closed;
  expect(inlet.takes.length).toBeGreaterThanOrEqual(1_000);
});

test('a clean session knows nothing of the exchanges before it', async () => {
  const { inlet, port } = await setup();
  const mailbox = await watch(port);
  const device = await RawClient.connected(port, 'door');
  device.send(first);
  await device.next('pubrec');
  device.socket.destroy();
  const back = await RawClient.connected(port, 'door');
  back.send(again);
  await back.next('pubrec');
  expect(inlet.payloads).toEqual(['x', 'x']);
  await mailbox.settle(port);
  expect(mailbox.payloads).toEqual(['x', 'x']);
});

test('a duplicate still leaves its retained message: the first copy’s may have died with the process', async () => {
  const { inlet, port } = await setup();
  inlet.verdict = () => [undefined, { duplicate: true }];
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('a', 'x', { qos: 2, messageId: 1, dup: true, retain: true }));
  await device.next('pubrec');
  const late = await connectMqtt(port);
  const mailbox = new Mailbox(late);
  await late.subscribeAsync('a');
  await mailbox.until(1);
  expect(mailbox.received[0]).toMatchObject({ payload: 'x', retain: true });
});
