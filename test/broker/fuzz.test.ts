/**
 * Any bytes: no crash, and an honest client is served all the same. `FUZZ_STREAMS` sets how many streams,
 * `FUZZ_SEED` which.
 */
import { connect } from 'node:net';
import { generate, type Packet } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { publishPacket, RawClient, setup } from './setup.ts';

const streams = Number(process.env['FUZZ_STREAMS'] ?? 2_000);
const seed = Number(process.env['FUZZ_SEED'] ?? 20_240_217);

/** mulberry32 */
function randomNumbers(state: number): (below: number) => number {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const names = [
  'a',
  'home/door',
  '$SYS/x/new/clients',
  '__proto__',
  'constructor',
  '/',
  '+',
  '#',
  'é\u{1F600}',
];

function packets(random: (below: number) => number): Packet[] {
  const pick = (): string => names[random(names.length)] ?? 'a';
  const qos = ([0, 1, 2] as const)[random(3)] ?? 0;
  const messageId = 1 + random(3);
  const clientId = ['constructor', '__proto__', 'toString', 'a', 'b'][random(5)] ?? 'a';
  const will = { topic: pick(), payload: Buffer.from('gone'), qos, retain: random(2) === 0 };
  return [
    {
      cmd: 'connect',
      clientId,
      clean: random(2) === 0,
      keepalive: random(100),
      ...(random(3) === 0 ? { will } : {}),
    },
    ...Array.from({ length: random(6) }, (): Packet => {
      switch (random(8)) {
        case 0:
          return { cmd: 'subscribe', messageId, subscriptions: [{ topic: pick(), qos }] };
        case 1:
          return { cmd: 'unsubscribe', messageId, unsubscriptions: [pick()] };
        case 2:
          return { cmd: 'pubrel', messageId };
        case 3:
          return { cmd: 'pubrec', messageId };
        case 4:
          return { cmd: 'puback', messageId };
        case 5:
          return { cmd: 'pingreq' };
        default:
          return publishPacket(pick(), 'x', {
            qos,
            messageId,
            retain: random(2) === 0,
            dup: random(2) === 0,
          });
      }
    }),
  ];
}

function mutate(bytes: Buffer, random: (below: number) => number): Buffer {
  for (let count = random(4); count > 0 && bytes.length > 0; count -= 1)
    bytes[random(bytes.length)] = random(256);
  const cut = bytes.length > 0 && random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
  return random(8) === 0 ? Buffer.concat([cut, cut]) : cut;
}

function encode(packet: Packet): Buffer {
  try {
    return generate(packet);
  } catch {
    // The generator refuses what is not MQTT.
    return Buffer.from([0xc0, 0]);
  }
}

/** Half of the streams are broken from the CONNECT on, half only after an honest one. */
async function send(port: number, random: (below: number) => number): Promise<void> {
  const [hello, ...rest] = packets(random).map(encode);
  const isHonest = random(2) === 0;
  const bytes = mutate(Buffer.concat([...(isHonest || !hello ? [] : [hello]), ...rest]), random);
  await new Promise<void>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.on('data', () => undefined);
    if (isHonest && hello) {
      socket.write(hello);
      socket.once('data', () => socket.end(bytes));
    } else {
      socket.end(bytes);
    }
  });
}

const title = `${streams} mutated streams of seed ${seed} harm nobody`;

test(title, { timeout: 20_000 + streams * 5 }, async () => {
  const { broker, inlet, port, logged } = await setup({ limits: { sessions: 50, retainedMessages: 50 } });
  inlet.verdict = ({ dup, packetId }) =>
    packetId === 3 ? [new Error('disk full')] : [undefined, { duplicate: dup }];
  const random = randomNumbers(seed);
  const batch = 50;
  for (let done = 0; done < streams; done += batch) {
    await Promise.all(Array.from({ length: batch }, () => send(port, random)));
  }
  const honest = await RawClient.connected(port, 'honest');
  honest.send(publishPacket('home/door', 'open', { qos: 1, messageId: 1 }));
  await honest.next('puback');
  honest.send(publishPacket('home/door', 'open', { qos: 2, messageId: 2 }));
  await honest.next('pubrec');
  expect(logged.filter(({ level }) => level === 'error')).toEqual([]);
  expect(broker.pending).toBe(0);
  expect(broker.clientCount).toBe(1);
  expect(broker.counters.connections).toBe(streams + 1);
  // Streams that never get past the CONNECT tell little.
  expect(inlet.takes.length).toBeGreaterThan(streams / 8);
});
