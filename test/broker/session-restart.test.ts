import { describe, expect, test } from 'vitest';
import { House, leave, vanish } from './house.ts';
import { connectMqtt, publishPacket, RawClient, turns } from './setup.ts';

describe('a session', () => {
  test('is there after a crash, with what came before and comes after, once and in order', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door/+');
    await house.publish('door/1', 'a', { qos: 1 });
    await house.publish('door/2', 'b', { qos: 2 });
    const next = await house.afterCrash();
    await next.publish('door/1', 'c', { qos: 2 });
    await next.publish('door/2', 'd', { qos: 1 });
    const panel = await RawClient.connected(next.port, 'panel', false);
    const payloads: string[] = [];
    const take = async (): Promise<void> => {
      const { payload, qos, messageId = 0 } = await panel.next('publish');
      payloads.push(String(payload));
      panel.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId });
      if (qos === 1) return;
      await panel.next('pubrel');
      panel.send({ cmd: 'pubcomp', messageId });
    };
    for (let n = 0; n < 4; n += 1) await take();
    await next.publish('door/3', 'live', { qos: 1 });
    await take();
    await panel.ping();
    expect(payloads).toEqual(['a', 'b', 'c', 'd', 'live']);
    next.pass(1);
    const last = await next.afterCrash();
    const again = await RawClient.connected(last.port, 'panel', false);
    await again.ping();
    expect(again.received).toEqual([]);
  });

  test('tells its client that it is there', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    const next = await house.afterCrash();
    const panel = await RawClient.open(next.port);
    panel.send({
      cmd: 'connect',
      clientId: 'panel',
      clean: false,
      keepalive: 60,
      protocolId: 'MQTT',
      protocolVersion: 4,
    });
    expect((await panel.next('connack')).sessionPresent).toBe(true);
  });

  test('that a client ended is gone for good', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    await house.publish('door', 'open');
    await leave(await RawClient.connected(house.port, 'panel', true));
    await turns();
    expect(house.onDisk('broker_session')).toEqual([]);
    expect(house.onDisk('broker_subscription')).toEqual([]);
    expect(house.onDisk('broker_queue')).toEqual([]);
  });

  test('sends a QoS 2 message again under its packet id, with DUP, and after PUBREC only the PUBREL', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    await house.publish('door', 'open', { qos: 2 });
    const first = await RawClient.connected(house.port, 'panel', false);
    const { messageId } = await first.next('publish');
    const next = await house.afterCrash();
    const second = await RawClient.connected(next.port, 'panel', false);
    expect(await second.next('publish')).toMatchObject({ messageId, dup: true, qos: 2 });
    second.send({ cmd: 'pubrec', messageId: messageId ?? 0 });
    expect(await second.next('pubrel')).toMatchObject({ messageId });
    const last = await next.afterCrash();
    const third = await RawClient.connected(last.port, 'panel', false);
    expect(await third.next('pubrel')).toMatchObject({ messageId });
    third.send({ cmd: 'pubcomp', messageId: messageId ?? 0 });
    await third.ping();
    expect(third.received).toEqual([]);
    last.pass(1);
    expect(last.onDisk('broker_queue')).toEqual([]);
  });

  test('takes one commit for the packet ids of its whole queue', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    const device = await connectMqtt(house.port);
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => device.publishAsync('door', String(n), { qos: 2 })),
    );
    house.pass(60);
    const { commits } = house.store;
    const panel = await RawClient.connected(house.port, 'panel', false);
    for (let n = 0; n < 50; n += 1) expect(String((await panel.next('publish')).payload)).toBe(String(n));
    expect(house.store.commits - commits).toBe(1);
  });

  test('never has two messages out under one packet id', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    for (let n = 0; n < 20; n += 1) await house.publish('door', String(n), { qos: 2 });
    const next = await house.afterCrash();
    const panel = await RawClient.connected(next.port, 'panel', false);
    for (let n = 0; n < 20; n += 1) await next.publish('door', `live ${n}`, { qos: n % 2 === 0 ? 1 : 2 });
    const ids = new Set<number | undefined>();
    for (let n = 0; n < 40; n += 1) ids.add((await panel.next('publish')).messageId);
    expect(ids.size).toBe(40);
  });

  test('does not get a QoS 2 message twice that its publisher sends again after the crash', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    const device = await RawClient.connected(house.port, 'device', false);
    device.send(publishPacket('door', 'open', { qos: 2, messageId: 5 }));
    await device.next('pubrec');
    const next = await house.afterCrash();
    const again = await RawClient.connected(next.port, 'device', false);
    again.send(publishPacket('door', 'open', { qos: 2, messageId: 5, dup: true }));
    await again.next('pubrec');
    again.send({ cmd: 'pubrel', messageId: 5 });
    await again.next('pubcomp');
    expect(next.onDisk('broker_exchange')).toEqual([]);
    again.send(publishPacket('door', 'open again', { qos: 2, messageId: 5, dup: true }));
    await again.next('pubrec');
    const panel = await RawClient.connected(next.port, 'panel', false);
    expect(String((await panel.next('publish')).payload)).toBe('open');
    expect(String((await panel.next('publish')).payload)).toBe('open again');
    await panel.ping();
    expect(panel.received).toEqual([]);
  });

  test('gets a QoS 2 message once whose copy was on disk before its reading when the power went', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    house.inlet.isHolding = true;
    const device = await RawClient.connected(house.port, 'device', false);
    device.send(publishPacket('door', 'open', { qos: 2, messageId: 5 }));
    await house.inlet.taken(1);
    // Somebody else's acknowledgement has the broker write what it has.
    await house.subscribed('tablet', 'window');
    const next = await house.afterCrash();
    next.inlet.verdict = () => [undefined, { duplicate: false }];
    const again = await RawClient.connected(next.port, 'device', false);
    again.send(publishPacket('door', 'open', { qos: 2, messageId: 5, dup: true }));
    await again.next('pubrec');
    again.send({ cmd: 'pubrel', messageId: 5 });
    await again.next('pubcomp');
    expect(next.inlet.payloads).toEqual(['open']);
    const panel = await RawClient.connected(next.port, 'panel', false);
    await panel.next('publish');
    await panel.ping();
    expect(panel.received).toEqual([]);
  });

  test('gets a publish once that was being stored when its client came', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    house.inlet.isHolding = true;
    const device = await RawClient.connected(house.port, 'device');
    device.send(publishPacket('door', 'open', { qos: 1, messageId: 1 }));
    await house.inlet.taken(1);
    const panel = await RawClient.connected(house.port, 'panel', false);
    await panel.ping();
    expect(panel.received).toEqual([]);
    house.inlet.letGo();
    await device.next('puback');
    await panel.next('publish');
    await panel.ping();
    expect(panel.received).toEqual([]);
  });

  test('does not keep a publish whose publisher was gone before it could be acknowledged', async () => {
    const house = await House.start();
    await house.subscribed('panel', 'door');
    house.inlet.isHolding = true;
    const device = await RawClient.connected(house.port, 'device');
    device.send(publishPacket('door', 'open', { qos: 1, messageId: 1 }));
    await house.inlet.taken(1);
    await vanish(device);
    house.inlet.letGo();
    await turns();
    house.pass(10);
    expect(house.onDisk('broker_queue')).toEqual([]);
  });

  test('belongs to whose it was: nobody else takes it over', async () => {
    const permissions = { mayPublish: () => true, maySubscribe: () => true };
    const accounts = {
      admit: ({ name }: { readonly name: string | undefined }) =>
        Promise.resolve({ account: name, permissions }),
      connected: () => undefined,
      disconnected: () => undefined,
      published: () => undefined,
      denied: () => undefined,
      knows: () => true,
    };
    const house = await House.start({ accounts });
    const panel = await connectMqtt(house.port, { clientId: 'panel', clean: false, username: 'kitchen' });
    await panel.subscribeAsync('door', { qos: 1 });
    const next = await house.afterCrash({ accounts });
    const thief = connectMqtt(next.port, { clientId: 'panel', clean: false, username: 'guest' });
    await expect(thief).rejects.toThrow(/Identifier rejected/);
    await connectMqtt(next.port, { clientId: 'panel', clean: false, username: 'kitchen' });
  });

  test('expires by the hours that the broker has run, over its restarts', async () => {
    const limits = { sessionIdleHours: 30 };
    const house = await House.start({ limits });
    await house.subscribed('panel', 'door');
    house.pass(20 * 3_600 + 60);
    const next = await house.afterCrash({ limits });
    next.pass(10 * 3_600 + 60);
    expect(next.onDisk('broker_session')).toHaveLength(1);
    next.pass(3_600);
    await turns();
    expect(next.onDisk('broker_session')).toEqual([]);
  });
});
