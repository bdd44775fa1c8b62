import { describe, expect, test } from 'vitest';
import { House } from './house.ts';
import { publishPacket, RawClient } from './setup.ts';

describe('retained messages', () => {
  test('are there after a crash, and the removed ones are not', async () => {
    const house = await House.start();
    await house.publish('a', '1', { retain: true });
    await house.publish('b', '2', { qos: 2, retain: true });
    await house.publish('b', '3', { retain: true });
    await house.publish('c', '4', { retain: true });
    await house.publish('c', '', { retain: true });
    const next = await house.afterCrash();
    expect((await next.retained('#')).sort()).toEqual(['1', '3']);
  });

  test('with QoS 0 are written within seconds, however many they are', async () => {
    const house = await House.start();
    const device = await RawClient.connected(house.port, 'device');
    for (let n = 0; n < 100; n += 1) device.send(publishPacket('a', String(n), { retain: true }));
    await device.ping();
    expect(house.store.commits).toBe(0);
    house.pass(10);
    expect(house.store.commits).toBe(1);
    const next = await house.afterCrash();
    expect(await next.retained('a')).toEqual(['99']);
  });

  test('that repeat the same value write nothing', async () => {
    const house = await House.start();
    await house.publish('a', '1', { retain: true });
    const { commits } = house.store;
    for (let n = 0; n < 5; n += 1) await house.publish('a', '1', { retain: true });
    house.pass(60);
    expect(house.store.commits).toBe(commits);
  });

  test('past their bound when the broker starts are forgotten on disk as well', async () => {
    const house = await House.start();
    for (const topic of ['a', 'b', 'c']) await house.publish(topic, '1', { retain: true });
    const small = await house.afterCrash({ limits: { retainedMessages: 2 } });
    expect(await small.retained('#')).toHaveLength(2);
    small.pass(10);
    expect(small.onDisk('broker_retained')).toHaveLength(2);
  });
});

describe('an acknowledgement', () => {
  test.each([1, 2] as const)('of a retained QoS %i publish means it is on disk', async (qos) => {
    const house = await House.start();
    const device = await RawClient.connected(house.port, 'device');
    device.send(publishPacket('a', '1', { qos, retain: true, messageId: 1 }));
    await device.next(qos === 1 ? 'puback' : 'pubrec');
    expect(house.onDisk('broker_retained')).toHaveLength(1);
  });

  test.each([1, 2] as const)(
    'of a QoS %i publish that somebody offline wants means it is on disk',
    async (qos) => {
      const house = await House.start();
      await house.subscribed('panel', 'door/#');
      const device = await RawClient.connected(house.port, 'device');
      device.send(publishPacket('door/1', 'open', { qos, messageId: 1 }));
      await device.next(qos === 1 ? 'puback' : 'pubrec');
      expect(house.onDisk('broker_queue')).toMatchObject([{ client: 'panel', topic: 'door/1', qos }]);
    },
  );

  test('of a subscription means it is on disk, and of its end that it is not any more', async () => {
    const house = await House.start();
    const client = await RawClient.connected(house.port, 'panel', false);
    client.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'a', qos: 1 },
        { topic: 'b/#', qos: 0 },
      ],
    });
    await client.next('suback');
    expect(house.onDisk('broker_subscription')).toHaveLength(2);
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] });
    await client.next('unsuback');
    expect(house.onDisk('broker_subscription')).toMatchObject([{ filter: 'b/#' }]);
  });

  test.each([1, 2] as const)(
    'is not given for QoS %i while the disk takes nothing; sent again it arrives once',
    async (qos) => {
      const house = await House.start();
      await house.subscribed('panel', 'door');
      const device = await RawClient.connected(house.port, 'device', false);
      house.store.isFailing = true;
      device.send(publishPacket('door', 'open', { qos, messageId: 1 }));
      await device.closed;
      expect(device.received).toEqual([]);
      expect(house.unstored).toHaveLength(1);
      house.store.isFailing = false;
      const again = await RawClient.connected(house.port, 'device', false);
      again.send(publishPacket('door', 'open', { qos, messageId: 1, dup: true }));
      await again.next(qos === 1 ? 'puback' : 'pubrec');
      const next = await house.afterCrash();
      const panel = await RawClient.connected(next.port, 'panel', false);
      await panel.next('publish');
      await panel.ping();
      expect(panel.received).toEqual([]);
    },
  );

  test.each([
    ['sent for the first time', false],
    ['sent again after the broker forgot it', true],
  ])('of a publish %s: what it leaves behind can go along with its reading', async (_, dup) => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    house.inlet.isHolding = true;
    const device = await RawClient.connected(house.port, 'device', false);
    device.send(publishPacket('door', 'open', { qos: 2, messageId: 1, dup, retain: true }));
    await house.inlet.taken(1);
    // The commit of a reading, as of now.
    house.store.commit();
    expect(house.onDisk('broker_queue')).toHaveLength(1);
    expect(house.onDisk('broker_exchange')).toHaveLength(1);
    expect(house.onDisk('broker_retained')).toHaveLength(1);
  });

  test('of a second copy leaves nothing behind that the inlet knows from an earlier run', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    house.inlet.verdict = () => [undefined, { duplicate: true }];
    const device = await RawClient.connected(house.port, 'device', false);
    device.send(publishPacket('door', 'open', { qos: 2, messageId: 1, dup: true }));
    await device.next('pubrec');
    house.pass(10);
    expect(house.onDisk('broker_queue')).toEqual([]);
  });

  test('costs no commit where nothing is left behind', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'elsewhere');
    const { commits } = house.store;
    await house.publish('door', 'open', { qos: 1 });
    await house.publish('door', 'open', { qos: 2 });
    house.pass(60);
    expect(house.store.commits).toBe(commits);
  });
});
