import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { Broker } from '../../src/broker/broker.ts';
import { ListenError } from '../../src/broker/listen.ts';
import { connectMqtt, publishPacket, RawClient, setup, TestInlet, turns } from './setup.ts';

const localhost = { host: '127.0.0.1', port: 0 };

function makeBroker(listen = [localhost]): Broker {
  const broker = new Broker({ listen, inlet: new TestInlet(), log: () => undefined });
  onTestFinished(() => broker.stop());
  return broker;
}

test('several listeners, IPv6 too, each tells its port', async () => {
  const broker = makeBroker([localhost, { host: '::1', port: 0 }, localhost]);
  const addresses = await broker.start();
  expect(addresses.map(({ host }) => host)).toEqual(['127.0.0.1', '::1', '127.0.0.1']);
  expect(new Set(addresses.map(({ port }) => port)).size).toBe(3);
  for (const { port } of addresses.filter(({ host }) => host !== '::1')) await RawClient.connected(port, 'a');
});

test('a port that is taken is an error with its address, and nothing stays open', async () => {
  const { port } = await setup();
  const free = createServer();
  free.listen(localhost);
  await once(free, 'listening');
  const address = free.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  free.close();
  await once(free, 'close');
  const broker = makeBroker([
    { host: '127.0.0.1', port: address.port },
    { host: '127.0.0.1', port },
  ]);
  const failure: unknown = await broker.start().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ListenError);
  expect(failure).toMatchObject({ code: 'EADDRINUSE', host: '127.0.0.1', port });
  const after = createServer();
  after.listen(address.port, '127.0.0.1');
  await once(after, 'listening');
  after.close();
});

test.each([
  ['host', { host: 'no-such-host.invalid', port: 0 }],
  ['port', { host: '127.0.0.1', port: 70_000 }],
])('an impossible %s is a ListenError', async (_, address) => {
  await expect(makeBroker([address]).start()).rejects.toBeInstanceOf(ListenError);
});

test('stop may come before start, twice, or while starting', async () => {
  const broker = makeBroker();
  await broker.stop();
  const starting = broker.start();
  await Promise.all([broker.stop(), broker.stop()]);
  const [address] = await starting;
  const refused = await connectMqtt(address?.port ?? 0).then(
    () => false,
    () => true,
  );
  expect(refused).toBe(true);
});

test('start after stop begins anew and keeps retained messages', async () => {
  const broker = makeBroker();
  await broker.start();
  await broker.publish({ topic: 'a', payload: 'x', qos: 1, retain: true });
  const stopping = broker.stop();
  const [address] = await broker.start();
  await stopping;
  const client = await RawClient.connected(address?.port ?? 0, 'a');
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] });
  expect((await client.next('publish')).payload.toString()).toBe('x');
});

test('stop lets the inlet finish, and what it finished is acknowledged', async () => {
  const { broker, inlet, port } = await setup();
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  const other = await RawClient.connected(port, 'other');
  device.send(publishPacket('a', 'x', { qos: 1, messageId: 3 }));
  await inlet.taken(1);
  const stopped = broker.stop();
  device.send(publishPacket('a', 'too late', { qos: 1, messageId: 4 }));
  other.send(publishPacket('a', 'too late', { qos: 1, messageId: 5 }));
  await turns();
  inlet.letGo();
  expect((await device.next('puback')).messageId).toBe(3);
  await stopped;
  await device.closed;
  expect(inlet.payloads).toEqual(['x']);
  expect(device.received).toEqual([]);
  expect(broker.pending).toBe(0);
});

test('stop does not wait for ever for an inlet that hangs', async () => {
  const { broker, inlet, port, logged } = await setup({ limits: { stopTimeoutMs: 20 } });
  inlet.isHolding = true;
  const device = await RawClient.connected(port, 'door');
  device.send(publishPacket('a', 'x', { qos: 1, messageId: 3 }));
  await inlet.taken(1);
  await broker.stop();
  expect(device.received).toEqual([]);
  expect(logged.some(({ level }) => level === 'warn')).toBe(true);
});

test('stop closes clients that never said who they are, and publishes no wills', async () => {
  const { broker, inlet, port } = await setup();
  const silent = await RawClient.open(port);
  const client = await RawClient.open(port);
  const will = { topic: 'home/state', payload: Buffer.from('offline'), qos: 1 as const, retain: true };
  client.send({ cmd: 'connect', clientId: 'plug', clean: true, keepalive: 60, will });
  await client.next('connack');
  await broker.stop();
  await Promise.all([silent.closed, client.closed]);
  expect(inlet.takes).toEqual([]);
  expect(broker.clientCount).toBe(0);
});

test('the bridge’s own messages are refused while the broker is not running', async () => {
  const message = { topic: 'a', payload: 'x', qos: 0, retain: false } as const;
  await expect(makeBroker().publish(message)).rejects.toThrow('not running');
});
