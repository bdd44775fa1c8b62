import { describe, expect, test } from 'vitest';
import type { Accounts, Guest, LoginAttempt, LoginRefusal } from '../../src/broker/accounts.ts';
import type { BrokerOptions } from '../../src/broker/options.ts';
import { Owners } from '../../src/broker/owners.ts';
import { permissionsOf, type Rights } from '../../src/core/rights.ts';
import { connectMqtt, Mailbox, publishPacket, RawClient, setup, turns } from './setup.ts';

const RIGHTS: Readonly<Record<string, Rights>> = {
  fridge: { publish: ['fridge/#'], subscribe: ['fridge/+/command'] },
  oven: { publish: ['oven/#', 'fridge/#'], subscribe: ['#'] },
};

/** Names are their own passwords. Notes what it is told. */
class Register implements Accounts {
  rights: Record<string, Rights> = { ...RIGHTS };
  readonly told: string[] = [];
  readonly attempts: LoginAttempt[] = [];
  refusal: LoginRefusal = 'credentials';

  admit(attempt: LoginAttempt): Promise<Guest | { refusal: LoginRefusal }> {
    this.attempts.push(attempt);
    const { name = '', password, clientId } = attempt;
    const rights = Object.hasOwn(this.rights, name) ? this.rights[name] : undefined;
    if (!rights || Buffer.from(password ?? []).toString() !== name) {
      return Promise.resolve({ refusal: this.refusal });
    }
    return Promise.resolve({ account: name, permissions: permissionsOf(rights, { user: name, clientId }) });
  }

  knows(account: string | undefined): boolean {
    return account !== undefined && Object.hasOwn(this.rights, account);
  }

  connected(account: string, address: string): void {
    this.told.push(`${account} connected from ${address}`);
  }

  disconnected(account: string): void {
    this.told.push(`${account} disconnected`);
  }

  published(account: string): void {
    this.told.push(`${account} published`);
  }

  denied(account: string, what: string, topic: string): void {
    this.told.push(`${account} denied ${what} ${topic}`);
  }
}

async function withAccounts(options: Partial<BrokerOptions> = {}) {
  const register = new Register();
  const running = await setup({ accounts: register, ...options });
  const as = (name: string, more: object = {}) =>
    connectMqtt(running.port, { username: name, password: name, ...more });
  return { ...running, register, as };
}

async function raw(port: number, name: string, clientId: string, more: object = {}): Promise<RawClient> {
  const client = await RawClient.open(port);
  client.send({
    cmd: 'connect',
    clientId,
    clean: true,
    keepalive: 60,
    protocolId: 'MQTT',
    protocolVersion: 4,
    username: name,
    password: Buffer.from(name),
    ...more,
  });
  return client;
}

describe('a client', () => {
  test('is let in with what the accounts know, and they learn who asks from where', async () => {
    const { as, register } = await withAccounts();
    await as('fridge', { clientId: 'esp-1' });
    expect(register.attempts[0]).toMatchObject({ name: 'fridge', clientId: 'esp-1', address: '127.0.0.1' });
    expect(register.told).toEqual(['fridge connected from 127.0.0.1']);
  });

  test.each([
    ['credentials', 4],
    ['client_id', 2],
    ['busy', 3],
  ] as const)('that is refused for %s is told with return code %i', async (refusal, returnCode) => {
    const { port, register, broker, inlet } = await withAccounts();
    register.refusal = refusal;
    const client = await raw(port, 'stranger', 'x');
    // Right behind the CONNECT, before anybody has decided.
    client.send(publishPacket('fridge/door', 'open', { qos: 1, messageId: 1 }));
    expect(await client.next('connack')).toMatchObject({ returnCode });
    await client.closed;
    expect(inlet.takes).toEqual([]);
    expect(broker.counters.refusedConnections[refusal]).toBe(1);
    expect(broker.clientCount).toBe(0);
  });

  test('without a name is told that it is not authorized', async () => {
    const { port } = await withAccounts();
    const client = await RawClient.open(port);
    client.send({ cmd: 'connect', clientId: 'x', clean: true, keepalive: 0, protocolId: 'MQTT' });
    expect(await client.next('connack')).toMatchObject({ returnCode: 5 });
  });

  test('is not let in where the accounts fail', async () => {
    const { port, register, logged } = await withAccounts();
    register.admit = () => Promise.reject(new Error('out of memory'));
    const client = await raw(port, 'fridge', 'x');
    expect(await client.next('connack')).toMatchObject({ returnCode: 3 });
    expect(logged).toContainEqual({ level: 'error', message: 'broker failed' });
  });

  test('that is gone before it is let in is never taken for one that is there', async () => {
    const { port, register, broker } = await withAccounts({ limits: { connectTimeoutMs: 50 } });
    let letIn: () => void = () => undefined;
    const decided = new Promise<void>((resolve) => (letIn = resolve));
    const admit = register.admit.bind(register);
    register.admit = (attempt) => decided.then(() => admit(attempt));
    const client = await raw(port, 'fridge', 'x');
    await client.closed;
    expect(broker.counters.refusedConnections.connect_timeout).toBe(1);
    letIn();
    await turns();
    expect(register.attempts[0]?.isGone()).toBe(true);
    expect(register.told).toEqual([]);
    // Nothing of it is left behind that would keep others out.
    const other = await raw(port, 'oven', 'x');
    expect(await other.next('connack')).toMatchObject({ returnCode: 0 });
  });
});

describe('a publish without a right', () => {
  test.each([0, 1, 2] as const)(
    'of QoS %i is acknowledged, counted, and nothing comes of it',
    async (qos) => {
      const denied: string[] = [];
      const { as, broker, inlet, register, port } = await withAccounts({
        onDenied: ({ account, topic, payload }) =>
          denied.push(`${account ?? ''} ${topic} ${Buffer.from(payload).toString()}`),
      });
      const fridge = await as('fridge');
      const oven = await as('oven');
      const mailbox = new Mailbox(oven);
      await oven.subscribeAsync('oven/#', { qos: 1 });
      await fridge.publishAsync('oven/heat', 'max', { qos, retain: true });
      await fridge.publishAsync('fridge/door', 'open', { qos: 1 });
      expect(inlet.payloads).toEqual(['open']);
      expect(broker.counters.denied.publish).toBe(1);
      expect(register.told).toContain('fridge denied publish oven/heat');
      expect(denied).toEqual(['fridge oven/heat max']);
      register.rights['anybody'] = { publish: ['end-of-test'], subscribe: ['#'] };
      const later = await connectMqtt(port, { username: 'anybody', password: 'anybody' });
      const retained = new Mailbox(later);
      await later.subscribeAsync('oven/#');
      await later.publishAsync('end-of-test', '', { qos: 1 });
      expect([...mailbox.received, ...retained.received]).toEqual([]);
      expect(fridge.connected).toBe(true);
    },
  );

  test('does not widen with a client identifier of wildcards', async () => {
    const { as, register, inlet } = await withAccounts();
    register.rights['many'] = { publish: ['home/%c/#'], subscribe: ['home/%c/#'] };
    const client = await as('many', { clientId: '+' });
    await client.publishAsync('home/other/door', 'open', { qos: 1 });
    expect(inlet.takes).toEqual([]);
    expect(await client.subscribeAsync('home/+/door').catch(String)).toMatch(/Error|128/);
  });

  test('names the account to the inlet where there is a right', async () => {
    const { as, inlet } = await withAccounts();
    const fridge = await as('fridge');
    await fridge.publishAsync('fridge/door', 'open', { qos: 1 });
    expect(inlet.takes[0]?.publish.account).toBe('fridge');
  });
});

describe('a subscription', () => {
  test('gets 0x80 where no right holds all of it, and the others of the packet are granted', async () => {
    const { port, broker, register } = await withAccounts();
    const client = await raw(port, 'fridge', 'x');
    await client.next('connack');
    client.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [
        { topic: 'fridge/+/command', qos: 1 },
        { topic: 'fridge/#', qos: 1 },
        { topic: '#', qos: 0 },
        { topic: 'fridge/light/command', qos: 0 },
      ],
    });
    expect((await client.next('suback')).granted).toEqual([1, 0x80, 0x80, 0]);
    expect(broker.counters.denied.subscribe).toBe(2);
    expect(register.told).toContain('fridge denied subscribe #');
  });
});

describe('a will', () => {
  const will = (topic: string) => ({ will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false } });

  test('is published where its client may publish it', async () => {
    const { port, inlet } = await withAccounts();
    const client = await raw(port, 'fridge', 'x', will('fridge/status'));
    await client.next('connack');
    client.socket.destroy();
    await inlet.taken(1);
    expect(inlet.payloads).toEqual(['gone']);
  });

  test('comes to nothing where it may not; the client is welcome', async () => {
    const denied: unknown[] = [];
    const { port, inlet, broker, as, register } = await withAccounts({
      onDenied: (publish, what) => denied.push({ ...publish, what }),
    });
    const client = await raw(port, 'fridge', 'x', will('oven/status'));
    expect(await client.next('connack')).toMatchObject({ returnCode: 0 });
    // Told of as any other message that comes to nothing.
    expect(denied).toEqual([
      {
        what: 'will',
        topic: 'oven/status',
        payload: Buffer.from('gone'),
        qos: 1,
        retain: false,
        dup: false,
        packetId: undefined,
        clientId: 'x',
        account: 'fridge',
      },
    ]);
    expect(register.told).toContain('fridge denied will oven/status');
    client.socket.destroy();
    const oven = await as('oven');
    while (broker.clientCount > 1) await turns(1);
    await oven.publishAsync('oven/heat', 'low', { qos: 1 });
    expect(inlet.payloads).toEqual(['low']);
    expect(broker.counters.denied.will).toBe(1);
  });
});

describe('a client identifier', () => {
  test('is not taken over by another account while its owner is connected', async () => {
    const { port, broker } = await withAccounts();
    const fridge = await raw(port, 'fridge', 'same');
    await fridge.next('connack');
    const oven = await raw(port, 'oven', 'same');
    expect(await oven.next('connack')).toMatchObject({ returnCode: 2 });
    await fridge.ping();
    expect(broker.counters.refusedConnections.client_id_taken).toBe(1);
    // Its own account takes it over, as MQTT wants it [MQTT-3.1.4-2].
    const again = await raw(port, 'fridge', 'same');
    expect(await again.next('connack')).toMatchObject({ returnCode: 0 });
    await fridge.closed;
    // The first connection's end does not set it free.
    const third = await raw(port, 'oven', 'same');
    expect(await third.next('connack')).toMatchObject({ returnCode: 2 });
  });

  test('is free again once its owner is gone', async () => {
    const { port, broker } = await withAccounts();
    const fridge = await raw(port, 'fridge', 'same');
    await fridge.next('connack');
    fridge.socket.destroy();
    while (broker.clientCount > 0) await turns(1);
    const oven = await raw(port, 'oven', 'same');
    expect(await oven.next('connack')).toMatchObject({ returnCode: 0 });
  });

  test("with a session stays its owner's: what waits in it is for nobody else", async () => {
    const { as, port, broker } = await withAccounts();
    const fridge = await as('fridge', { clientId: 'same', clean: false });
    await fridge.subscribeAsync('fridge/light/command', { qos: 1 });
    await fridge.endAsync(true);
    while (broker.clientCount > 0) await turns(1);
    const other = await raw(port, 'oven', 'same', { clean: false });
    expect(await other.next('connack')).toMatchObject({ returnCode: 2 });
    const oven = await as('oven', { clientId: 'other' });
    await oven.publishAsync('fridge/light/command', 'on', { qos: 1 });
    const back = await raw(port, 'fridge', 'same', { clean: false });
    expect(await back.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: true });
    expect((await back.next('publish')).payload.toString()).toBe('on');
  });

  test('is remembered only as long as somebody has it, whoever came by', () => {
    const sessions = new Set(['kept']);
    const owners = new Owners((clientId) => sessions.has(clientId));
    for (let n = 0; n < 5_000; n += 1) {
      owners.claim(`c${n}`, 'fridge');
      owners.release(`c${n}`);
    }
    expect(owners.clientIdsOf(new Set(['fridge']))).toEqual([]);
    owners.claim('kept', 'fridge');
    owners.release('kept');
    expect(owners.claim('kept', 'oven')).toBe(false);
    sessions.delete('kept');
    expect(owners.claim('kept', 'oven')).toBe(true);
  });

  test('whose session ended is forgotten before there are too many', () => {
    const sessions = new Set<string>();
    const owners = new Owners((clientId) => sessions.has(clientId));
    for (let n = 0; n < 5_000; n += 1) {
      sessions.add(`c${n}`);
      owners.claim(`c${n}`, 'fridge');
      owners.release(`c${n}`);
      sessions.clear();
    }
    expect(owners.clientIdsOf(new Set(['fridge'])).length).toBeLessThanOrEqual(1_001);
  });
});

describe('an account that is taken away', () => {
  test('loses its connections at once, without a will; others stay', async () => {
    const { as, broker, port, inlet } = await withAccounts();
    const will = { topic: 'fridge/status', payload: Buffer.from('gone'), qos: 1, retain: false };
    const fridge = await raw(port, 'fridge', 'x', { will });
    await fridge.next('connack');
    const oven = await as('oven');
    broker.expel(['fridge']);
    await fridge.closed;
    while (broker.clientCount > 1) await turns(1);
    await oven.publishAsync('oven/heat', 'low', { qos: 1 });
    expect(inlet.payloads).toEqual(['low']);
  });

  test('loses its sessions: rights that were withdrawn bring nothing more', async () => {
    const { as, broker, port, register } = await withAccounts();
    const fridge = await as('fridge', { clientId: 'x', clean: false });
    await fridge.subscribeAsync('fridge/light/command', { qos: 1 });
    const gone = new Promise<void>((resolve) => fridge.once('close', resolve));
    register.rights['fridge'] = { publish: ['fridge/#'], subscribe: [] };
    broker.expel(['fridge']);
    await gone;
    const oven = await as('oven');
    await oven.publishAsync('fridge/light/command', 'on', { qos: 1 });
    const back = await raw(port, 'fridge', 'x', { clean: false });
    expect(await back.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: false });
    await back.ping();
    expect(back.received).toEqual([]);
  });

  test('tells that its clients are gone', async () => {
    const { as, broker, register } = await withAccounts();
    const fridge = await as('fridge', { clientId: 'x' });
    expect(broker.accountOf('x')).toBe('fridge');
    const gone = new Promise<void>((resolve) => fridge.once('close', resolve));
    broker.expel(['fridge']);
    await gone;
    while (broker.clientCount > 0) await turns(1);
    expect(register.told).toEqual(['fridge connected from 127.0.0.1', 'fridge disconnected']);
    expect(broker.accountOf('x')).toBeUndefined();
  });
});

test('a session that outlived its rights delivers nothing of what it was waiting for', async () => {
  const { as, broker, port, register } = await withAccounts();
  const fridge = await as('fridge', { clientId: 'x', clean: false });
  await fridge.subscribeAsync('fridge/light/command', { qos: 1 });
  await fridge.endAsync(true);
  while (broker.clientCount > 0) await turns(1);
  const oven = await as('oven');
  await oven.publishAsync('fridge/light/command', 'on', { qos: 1 });
  // As after a restart with another configuration: nobody was told to expel.
  register.rights['fridge'] = { publish: ['fridge/#'], subscribe: [] };
  const back = await raw(port, 'fridge', 'x', { clean: false });
  await back.next('connack');
  await back.ping();
  await oven.publishAsync('fridge/light/command', 'off', { qos: 1 });
  await back.ping();
  expect(back.received).toEqual([]);
});

test('what an earlier run left of an account that is gone stands in nobody’s way', async () => {
  const session = (clientId: string, account: string | undefined) => ({ clientId, account, usedHour: 0 });
  const will = { topic: 'fridge/status', payload: Buffer.from('gone'), qos: 1, retain: false } as const;
  const { port } = await withAccounts({
    store: {
      load: () => ({
        hours: 0,
        retained: [],
        sessions: [session('a', 'removed'), session('b', undefined), session('c', 'fridge')],
        subscriptions: ['a', 'b', 'c'].map((clientId) => ({
          clientId,
          filter: 'fridge/light/command',
          options: { qos: 1 },
        })),
        queue: [],
        wills: [{ clientId: 'd', account: 'removed', ...will }],
        exchanges: [],
      }),
      attach: () => undefined,
      commit: () => undefined,
    },
  });
  for (const [clientId, returnCode] of [
    ['a', 0],
    ['b', 0],
    ['c', 2],
  ] as const) {
    const oven = await raw(port, 'oven', clientId, { clean: false });
    expect(await oven.next('connack')).toMatchObject({ returnCode, sessionPresent: false });
  }
});
