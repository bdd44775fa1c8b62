import { describe, expect, test } from 'vitest';
import { House, leave, vanish } from './house.ts';
import { RawClient, turns } from './setup.ts';

function willing(port: number, clientId: string, payload = 'gone'): Promise<RawClient> {
  return RawClient.open(port).then(async (client) => {
    const will = { topic: 'lamp/state', payload: Buffer.from(payload), qos: 1, retain: true } as const;
    client.send({
      cmd: 'connect',
      clientId,
      clean: true,
      keepalive: 60,
      protocolId: 'MQTT',
      protocolVersion: 4,
      will,
    });
    await client.next('connack');
    return client;
  });
}

describe('a will', () => {
  test('of a client that does not come back after a crash is published once, after a grace', async () => {
    const house = await House.start();
    await willing(house.port, 'lamp');
    house.pass(1);
    const next = await house.afterCrash();
    next.pass(59);
    await turns();
    expect(next.inlet.payloads).toEqual([]);
    next.pass(1);
    await next.inlet.taken(1);
    expect(next.inlet.takes[0]?.publish).toMatchObject({ topic: 'lamp/state', clientId: undefined });
    expect(await next.retained('lamp/state')).toEqual(['gone']);
    next.pass(120);
    await turns();
    expect(next.inlet.payloads.filter((payload) => payload === 'gone')).toHaveLength(1);
    const last = await next.afterCrash();
    last.pass(120);
    await turns();
    expect(last.inlet.payloads).toEqual([]);
  });

  test('of a client that comes back is not, with a will or without', async () => {
    const house = await House.start();
    await willing(house.port, 'lamp');
    await willing(house.port, 'fan');
    house.pass(1);
    const next = await house.afterCrash();
    await RawClient.connected(next.port, 'lamp');
    await willing(next.port, 'fan', 'gone later');
    next.pass(120);
    await turns();
    expect(next.inlet.payloads).toEqual([]);
  });

  test('of a client that took leave, or whose will was published, is not', async () => {
    const house = await House.start();
    await leave(await willing(house.port, 'lamp'));
    await vanish(await willing(house.port, 'fan'));
    await house.inlet.taken(1);
    house.pass(1);
    const next = await house.afterCrash();
    next.pass(120);
    await turns();
    expect(next.inlet.payloads).toEqual([]);
  });

  test('outlives a broker that is stopped in good order, too', async () => {
    const house = await House.start();
    await willing(house.port, 'lamp');
    await house.broker.stop();
    expect(house.inlet.payloads).toEqual([]);
    const next = await house.afterCrash();
    next.pass(60);
    await next.inlet.taken(1);
    expect(next.inlet.payloads).toEqual(['gone']);
  });

  test('is not taken along by a predecessor that it replaced', async () => {
    const house = await House.start();
    const first = await willing(house.port, 'lamp', 'first gone');
    await willing(house.port, 'lamp', 'second gone');
    await first.closed;
    await turns();
    house.pass(1);
    const next = await house.afterCrash();
    next.pass(60);
    await next.inlet.taken(1);
    expect(next.inlet.payloads).toEqual(['second gone']);
  });

  test('that cannot be stored is tried again after the next start', async () => {
    const house = await House.start();
    await willing(house.port, 'lamp');
    house.pass(1);
    const next = await house.afterCrash();
    next.inlet.verdict = () => [new Error('disk full')];
    next.pass(60);
    await next.inlet.taken(1);
    await turns();
    next.pass(10);
    expect(next.onDisk('broker_will')).toHaveLength(1);
  });
});
