/** Against a real Mosquitto: what only a broker of others can show. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Mapping } from '../../src/core/mapping/mapping.ts';
import { readPayload, type Payload } from '../../src/core/payload.ts';
import type { LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { compileExpressions } from '../../src/expression/expressions.ts';
import { Intake } from '../../src/intake/intake.ts';
import type { Rule } from '../../src/intake/ports.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { SourceOptions } from '../../src/sources/ports.ts';
import { CERTIFICATE, KEY } from '../exist/self-signed.ts';
import { TestClock } from '../support/clock.ts';
import { eventually } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';
import { startSource, type Running } from './setup.ts';
import { skipped } from '../support/skip.ts';

async function start(settings: readonly string[] = [], listener: readonly string[] = []): Promise<Mosquitto> {
  const mosquitto = await Mosquitto.start(temporaryFolder(), settings, listener);
  onTestFinished(() => mosquitto.kill());
  return mosquitto;
}

async function publisher(mosquitto: Mosquitto): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`, { reconnectPeriod: 0 });
  client.on('error', () => undefined);
  onTestFinished(() => client.endAsync(true));
  return client;
}

/** Resolves when the source is connected and what it wants is subscribed. */
async function subscribed({ reaches, store }: Running): Promise<void> {
  await reaches('connected');
  const isOpen = (): boolean =>
    [...store.records.values()].some(({ filters }) => Object.values(filters).some((qos) => qos === null)) ||
    store.filters.length === 0;
  while (isOpen()) await new Promise((resolve) => setImmediate(resolve));
}

describe.skipIf(NO_MOSQUITTO)(`with Mosquitto${skipped(NO_MOSQUITTO)}`, () => {
  test.each<[string, Partial<SourceOptions>]>([
    ['MQTT 5, QoS 2', { protocol: 5 }],
    ['MQTT 3.1.1, QoS 2', { protocol: 4 }],
    ['MQTT 5, QoS 1', { protocol: 5, qos: 1 }],
    ['MQTT 3.1.1, QoS 1', { protocol: 4, qos: 1 }],
  ])(
    'over %s, what came while the bridge was away is there when it is back, in order',
    async (_, options) => {
      const mosquitto = await start();
      const first = startSource({ port: mosquitto.port, ...options }, ['home/#']);
      await subscribed(first);
      await first.source.stop();
      const client = await publisher(mosquitto);
      for (let n = 0; n < 50; n += 1)
        await client.publishAsync('home/button', `${n}`, { qos: n % 2 ? 1 : 2 });
      const { inlet } = startSource({ port: mosquitto.port, ...options }, ['home/#'], { store: first.store });
      await inlet.taken(50);
      expect(inlet.payloads).toEqual(Array.from({ length: 50 }, (_, n) => `${n}`));
      expect(inlet.takes.some(({ publish }) => publish.dup || publish.replay)).toBe(false);
    },
  );

  test.each([4, 5] as const)(
    'over MQTT %i, a retained message is a replay, and live ones are not',
    async (protocol) => {
      const mosquitto = await start();
      const client = await publisher(mosquitto);
      await client.publishAsync('home/door', 'open', { qos: 1, retain: true });
      const running = startSource({ port: mosquitto.port, protocol }, ['home/#']);
      await running.inlet.taken(1);
      await client.publishAsync('home/door', 'closed', { qos: 1, retain: true });
      await running.inlet.taken(2);
      expect(running.inlet.takes.map(({ publish }) => [publish.replay, publish.retain])).toEqual([
        [true, true],
        [false, false],
      ]);
      await subscribed(running);
      await running.source.stop();
      // Nothing is replayed for what was subscribed all along.
      const again = startSource({ port: mosquitto.port, protocol }, ['home/#'], { store: running.store });
      await subscribed(again);
      await client.publishAsync('home/door', 'open', { qos: 1 });
      await again.inlet.taken(1);
      expect(again.inlet.takes[0]?.publish).toMatchObject({ replay: false });
    },
  );

  test('with a user, a wrong password is told, and the right one lets in', async () => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'passwords');
    writeFileSync(file, '');
    const made = spawnSync('mosquitto_passwd', ['-b', file, 'bridge', 'open sesame']);
    expect(made.status).toBe(0);
    const mosquitto = await Mosquitto.start(folder, [`password_file ${file}`]);
    onTestFinished(() => mosquitto.kill());
    const wrong = startSource({ port: mosquitto.port, username: 'bridge', password: 'sesame' }, ['home/#']);
    await wrong.reaches('down');
    expect(wrong.source.status().lastError).toContain('user name or password');
    const right = startSource({ port: mosquitto.port, username: 'bridge', password: 'open sesame' }, [
      'home/#',
    ]);
    await right.reaches('connected');
  });

  test('over TLS, an unknown authority is told with what to write; with it, and a client certificate, it works', async () => {
    const folder = temporaryFolder();
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
    writeFileSync(cert, CERTIFICATE);
    writeFileSync(key, KEY);
    const mosquitto = await start(
      [],
      [`certfile ${cert}`, `keyfile ${key}`, `cafile ${cert}`, 'require_certificate true'],
    );
    const base = { port: mosquitto.port, scheme: 'mqtts' } as const;
    const none = { ca: undefined, cert: undefined, key: undefined };
    const untrusted = startSource({ ...base, tls: none }, ['home/#']);
    await untrusted.reaches('down');
    expect(untrusted.source.status().lastError).toContain('tls: { ca: … }');
    const anonymous = startSource({ ...base, tls: { ...none, ca: CERTIFICATE } }, ['home/#']);
    await anonymous.reaches('down');
    expect(anonymous.source.status().lastError).toMatch(/client certificate|closed the connection|was cut/);
    const full = startSource({ ...base, tls: { ca: CERTIFICATE, cert: CERTIFICATE, key: KEY } }, ['home/#']);
    await full.reaches('connected');
    const garbage = startSource({ ...base, tls: { ...none, ca: 'no certificate' } }, ['home/#']);
    await garbage.reaches('down');
  });

  test('without TLS where it is spoken, and with it where it is not, says so', async () => {
    const mosquitto = await start();
    const { reaches, source } = startSource({ port: mosquitto.port, scheme: 'mqtts' }, ['home/#']);
    await reaches('down');
    expect(source.status().lastError).toMatch(/TLS|was cut|closed the connection/);
  });

  test('over a websocket', async () => {
    const mosquitto = await start();
    const { reaches, inlet } = startSource({ port: mosquitto.websocketPort, scheme: 'ws' }, ['home/#']);
    await reaches('connected');
    const client = await publisher(mosquitto);
    while (inlet.takes.length === 0) await client.publishAsync('home/button', 'press', { qos: 1 });
  });

  test('a filter that was taken out while the bridge was down no longer fills the queue', async () => {
    const mosquitto = await start();
    const first = startSource({ port: mosquitto.port }, ['home/old', 'home/new']);
    await subscribed(first);
    await first.source.stop();
    const second = startSource({ port: mosquitto.port }, ['home/new'], { store: first.store });
    await subscribed(second);
    while (second.store.filters.length > 1) await new Promise((resolve) => setImmediate(resolve));
    const client = await publisher(mosquitto);
    await client.publishAsync('home/old', 'x', { qos: 1 });
    await client.publishAsync('home/new', 'y', { qos: 1 });
    await second.inlet.taken(1);
    expect(second.inlet.payloads).toEqual(['y']);
  });

  test.each([1, 2] as const)(
    'killed in mid-traffic and back with what it had saved, every press of QoS %i counts once',
    async (qos) => {
      const mosquitto = await start(['max_inflight_messages 10']);
      const { intake, total, taken } = counting();
      const running = startSource({ port: mosquitto.port, qos }, ['home/#']);
      await subscribed(running);
      const client = await publisher(mosquitto);
      let isHeld = false;
      const held: (() => void)[] = [];
      running.inlet.forward = {
        take: (publish, done) => {
          // Counted and on disk, while the broker does not know it.
          intake.take(publish, (error) => {
            if (isHeld) held.push(() => done(error));
            else done(error);
          });
        },
        released: (clientId, packetId) => {
          intake.released(clientId, packetId);
        },
      };
      for (let n = 0; n < 40; n += 1) await client.publishAsync('home/button', 'press', { qos });
      await taken(40);
      isHeld = true;
      for (let n = 0; n < 30; n += 1) await client.publishAsync('home/button', 'press', { qos });
      await taken(41);
      await mosquitto.save();
      await mosquitto.kill();
      await running.reaches('down');
      isHeld = false;
      for (const done of held.splice(0)) done();
      await mosquitto.restart();
      // It may send again more than the one: whatever it did not read of our acknowledgements before it died.
      await eventually(
        () => Promise.resolve(total()),
        (presses) => presses >= 70,
      );
      expect(total()).toBe(70);
      // The first of the thirty came twice: it was counted, and its acknowledgement held back.
      expect(running.inlet.takes.filter(({ publish }) => publish.dup).length).toBeGreaterThanOrEqual(1);
    },
  );
});

/** An intake on a database of its own that counts presses. */
function counting() {
  const clock = new TestClock('2026-11-24T12:00:00Z');
  const ledger = Ledger.open(temporaryFolder());
  const one = 1_000_000 as Units;
  const mapping: Mapping = {
    key: 'presses',
    filters: ['home/#'],
    attribute: 'presses',
    valueType: 'integer',
    scale: 1,
    offset: 0,
    debounceMs: 0,
    operation: { kind: 'count', on: 'message', each: 'any', by: one },
  };
  const compiled = compileExpressions({});
  if (!compiled.ok) throw new Error('no expression to compile');
  const rule: Rule<Payload> = { mapping, extract: compiled.extract };
  const intake = new Intake(
    {
      journal: ledger.journal,
      clock,
      bootId: 'boot',
      zone: () => 'UTC',
      parse: readPayload,
      onContributions: () => undefined,
      onRefused: () => undefined,
      onSeen: () => undefined,
      onEstimated: () => undefined,
      onStored: () => undefined,
      onFault: (error) => {
        throw error;
      },
    },
    [rule],
  );
  intake.start();
  onTestFinished(async () => {
    await intake.stop();
    ledger.close();
  });
  return {
    intake,
    total: () => {
      const key = ledger.delivery.key('presses', '2026-11-24' as LocalDate);
      return key?.kind === 'sum' ? key.total / one : 0;
    },
    /** Resolves when so many copies, duplicates included, have been dealt with. */
    taken: async (count: number) => {
      const sum = (): number => ledger.journal.counters.accepted + ledger.journal.counters.duplicates;
      while (sum() < count) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
