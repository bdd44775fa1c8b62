/** MQTT streams against the built daemon: mutated, cut, with lengths that promise hundreds of megabytes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connectAsync } from 'mqtt';
import { generate, type Packet } from 'mqtt-packet';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import type { Random } from '../simulation/random.ts';
import { Daemon, eventually } from '../support/daemon.ts';
import { residentMb } from '../support/process.ts';
import { mutate, pick, type Kind, type Target } from './kind.ts';

const YAML = `attributes:
  fuzzed: { label: Fuzzed, type: decimal }
  honest: { label: Honest, type: integer }
mappings:
  - { topic: "fuzz/#", attribute: fuzzed, add: {} }
  - { topic: honest, attribute: honest, count: { each: any } }
`;

const TOPICS = [
  'fuzz/a',
  'fuzz/b/c',
  '$SYS/x',
  '__proto__',
  'constructor',
  '/',
  '+',
  '#',
  'fuzz/é\u{1F600}',
  '',
];
const CLIENTS = ['constructor', '__proto__', 'toString', 'a', 'b', '', 'x'.repeat(300)];
/** A fixed header whose remaining length says 256 MB. */
const BOMBS = [0x10, 0x30, 0x32, 0x34, 0x82].map((first) =>
  Buffer.from([first, 0xff, 0xff, 0xff, 0x7f, 0, 4]),
);

export const mqtt: Kind = {
  name: 'mqtt',
  atATime: 50,
  async open(): Promise<Target> {
    const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-fuzz-'));
    const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 1_000_000 });
    const { url } = await sandbox.start();
    const daemon = await Daemon.start({
      folder,
      existUrl: url,
      yaml: YAML,
      flush: 'every: 1s, linger: 100ms',
      // All that attack come from one address.
      broker: ', limits: { connections_per_second: 100000 }',
    });
    const port = Number(new URL(daemon.brokerUrl).port);
    let honest = 0;
    return {
      attack: async (random) => {
        await send(port, random);
        return daemon.isRunning ? undefined : `the daemon ended: ${daemon.lines.slice(-3).join(' ')}`;
      },
      check: async () => {
        const client = await connectAsync(daemon.brokerUrl, { protocolVersion: 4, reconnectPeriod: 0 });
        client.on('error', () => undefined);
        await client.publishAsync('honest', 'press', { qos: 1 });
        await client.publishAsync('honest', 'press', { qos: 2 });
        await client.endAsync();
        honest += 2;
        const { today } = await eventually(
          () => daemon.status(),
          (status) => Number(status.today.find(({ attribute }) => attribute === 'honest')?.total) >= honest,
        );
        const total = today.find(({ attribute }) => attribute === 'honest')?.total;
        const errors = daemon.lines.filter((line) => line.includes('"level":"error"'));
        if (errors.length > 0) return errors[0];
        return total === honest ? undefined : `${honest} honest presses, ${total} counted`;
      },
      memory: () => residentMb(daemon.pid) * 1_048_576,
      close: async () => {
        await daemon.kill();
        await sandbox.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};

function packets(random: Random): Packet[] {
  const qos = pick([0, 1, 2] as const, random);
  const messageId = random.whole(1, 3);
  const will = { topic: pick(TOPICS, random), payload: Buffer.from('1'), qos, retain: random.chance(0.5) };
  const hello: Packet = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: pick([3, 4, 4, 4, 5] as const, random),
    clientId: pick(CLIENTS, random),
    clean: random.chance(0.5),
    keepalive: random.whole(0, 100),
    ...(random.chance(0.3) ? { will } : {}),
  };
  const others = Array.from({ length: random.whole(0, 5) }, (): Packet => {
    const topic = pick(TOPICS, random);
    switch (random.whole(0, 7)) {
      case 0:
        return { cmd: 'subscribe', messageId, subscriptions: [{ topic, qos }] };
      case 1:
        return { cmd: 'unsubscribe', messageId, unsubscriptions: [topic] };
      case 2:
        return { cmd: 'pubrel', messageId };
      case 3:
        return { cmd: 'pubrec', messageId };
      case 4:
        return { cmd: 'puback', messageId };
      case 5:
        return { cmd: 'pingreq' };
      default: {
        const marks = { qos, messageId, retain: random.chance(0.5), dup: qos > 0 && random.chance(0.5) };
        return { cmd: 'publish', topic, payload: pick(['1', '0.5', '{"a":1}', ''], random), ...marks };
      }
    }
  });
  return [hello, ...others];
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
async function send(port: number, random: Random): Promise<void> {
  const [hello = Buffer.alloc(0), ...rest] = packets(random).map(encode);
  const isHonest = random.chance(0.5);
  const bomb = random.chance(0.1) ? [pick(BOMBS, random), Buffer.alloc(random.whole(0, 5_000))] : [];
  const garbage = random.chance(0.1)
    ? [Buffer.from(Array.from({ length: random.whole(1, 200) }, () => random.whole(0, 255)))]
    : [];
  const bytes = mutate(Buffer.concat([...(isHonest ? [] : [hello]), ...rest, ...bomb, ...garbage]), random);
  await new Promise<void>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.on('data', () => undefined);
    if (isHonest) {
      socket.write(hello);
      socket.once('data', () => socket.end(bytes));
    } else {
      socket.end(bytes);
    }
  });
}
