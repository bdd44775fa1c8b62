/**
 * What broken and hostile clients do to a broker: each is one bout, from connecting to being gone, and done over and over.
 */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { generate, type Packet } from 'mqtt-packet';
import { mutate } from '../fuzz/kind.ts';
import type { Random } from '../simulation/random.ts';

/** Whom they attack, and as whom. */
export interface Victim {
  readonly port: number;
  readonly username: string;
  readonly password: string;
}

export interface Bout {
  readonly victim: Victim;
  readonly random: Random;
  /** No two clients of a crowd share it. */
  readonly clientId: string;
  /** Its own, where the system has so many: devices at home do not share theirs. */
  readonly address: string;
  /** The crowd goes home. */
  readonly signal: AbortSignal;
}

export type Misbehaviour = (bout: Bout) => Promise<void>;

/** A flood goes on until it is cut off; here for so many bytes, lest it never comes back. */
const FLOOD_BYTES = 8 * 1_048_576;
const LARGE = Buffer.alloc(900_000, 'x');

export const MISBEHAVIOURS: Readonly<Record<string, Misbehaviour>> = {
  'floods with QoS 1': flood(1, 20),
  'floods with QoS 0': flood(0, 20),
  'floods with QoS 2 and never releases': flood(2, 20),
  'floods with large payloads': (bout) =>
    conversation(bout, async (socket) => {
      await repeat(socket, 20, (n) => publish('crowd/large', LARGE, 1, n));
    }),
  'sends a packet that is too large': (bout) =>
    conversation(bout, async (socket) => {
      const head = Buffer.from([0x32, 0x80, 0x80, 0x80, 0x02, 0, 5]);
      await repeat(socket, 8, (n) => (n === 1 ? head : LARGE));
    }),
  'promises 256 MB before it has said who it is': (bout) =>
    unannounced(bout, async (socket) => {
      await repeat(socket, 50, (n) => (n === 1 ? Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]) : LARGE));
    }),
  'says nothing': (bout) => unannounced(bout, () => Promise.resolve()),
  'drips its CONNECT': (bout) =>
    unannounced(bout, async (socket) => {
      for (const byte of hello(bout)) {
        if (socket.destroyed || bout.signal.aborted) return;
        socket.write(Uint8Array.of(byte));
        await pause(200);
      }
    }),
  'speaks HTTP': (bout) =>
    unannounced(bout, async (socket) => {
      await write(socket, Buffer.from('GET / HTTP/1.1\r\nHost: broker\r\n\r\n'));
    }),
  'speaks broken MQTT': (bout) =>
    unannounced(bout, async (socket) => {
      const packets = Array.from({ length: 20 }, (_, n) => publish('crowd/broken', '1', 1, n + 1));
      await write(socket, mutate(Buffer.concat([hello(bout), ...packets]), bout.random));
      socket.end();
    }),
  'guesses passwords': (bout) =>
    unannounced(bout, async (socket) => {
      await write(socket, hello(bout, { password: Buffer.from(`guess ${bout.random.whole(0, 1_000_000)}`) }));
    }),
  'connects and leaves': (bout) => conversation(bout, (socket) => Promise.resolve(void socket.end())),
  'leaves a session behind': (bout) =>
    conversation(
      { ...bout, clientId: `${bout.clientId}-${bout.random.whole(0, 1_000_000)}` },
      async (socket) => {
        await write(socket, subscribe(['crowd/#'], 1));
        socket.end();
      },
      { clean: false },
    ),
  'retains a message on every topic': (bout) =>
    conversation(bout, async (socket) => {
      await repeat(socket, 2_000, (n) =>
        publish(`crowd/retained/${bout.clientId}/${bout.random.whole(0, 1_000_000)}`, 'x', 1, n, true),
      );
    }),
  'subscribes to everything and reads nothing': (bout) =>
    conversation(bout, async (socket) => {
      await write(socket, subscribe(['crowd/#'], 1));
      socket.pause();
      await gone(socket, bout.signal, 5_000);
    }),
  'subscribes without end': (bout) =>
    conversation(bout, async (socket) => {
      await repeat(socket, 2_000, (n) => subscribe([`crowd/${bout.clientId}/${n}/+`], n));
    }),
  'leaves a will': (bout) =>
    conversation(bout, (socket) => Promise.resolve(void socket.destroy()), {
      will: { topic: 'crowd/will', payload: Buffer.from('gone'), qos: 1, retain: false },
    }),
  'acknowledges what was never sent': (bout) =>
    conversation(bout, async (socket) => {
      await repeat(socket, 2_000, (n) => generate({ cmd: 'puback', messageId: n }));
    }),
  'sends the same message again and again': (bout) =>
    conversation(bout, async (socket) => {
      const again = generate({
        cmd: 'publish',
        topic: 'crowd/again',
        payload: 'x',
        qos: 1,
        messageId: 7,
        dup: true,
        retain: false,
      });
      await repeat(socket, 2_000, () => again);
    }),
  'takes over another one of the crowd': (bout) =>
    conversation({ ...bout, clientId: `crowd-${bout.random.whole(0, 20)}` }, async (socket) => {
      await gone(socket, bout.signal, 500);
    }),
};

function flood(qos: 0 | 1 | 2, topics: number): Misbehaviour {
  return (bout) =>
    conversation(bout, async (socket) => {
      const packets = Array.from({ length: 200 }, (_, n) =>
        publish(`crowd/${qos}/${n % topics}`, 'x'.repeat(60), qos, n + 1),
      );
      const chunk = Buffer.concat(packets);
      await repeat(socket, Math.floor(FLOOD_BYTES / chunk.length), () => chunk);
    });
}

/** Lets itself in, and then does what it does. */
async function conversation(
  bout: Bout,
  misbehave: (socket: Socket) => Promise<void>,
  more: Partial<Extract<Packet, { cmd: 'connect' }>> = {},
): Promise<void> {
  await unannounced(bout, async (socket) => {
    socket.write(hello(bout, more));
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    if (!socket.destroyed) await misbehave(socket);
  });
}

/** A connection over which nothing was said yet; resolves when it is closed, by the broker at the latest. */
async function unannounced(bout: Bout, misbehave: (socket: Socket) => Promise<void>): Promise<void> {
  const socket = connect({ port: bout.victim.port, host: '127.0.0.1', localAddress: bout.address });
  socket.on('error', () => undefined);
  socket.on('data', () => undefined);
  const closed = gone(socket, bout.signal, 30_000);
  await Promise.race([once(socket, 'connect').catch(() => undefined), closed]);
  if (!socket.destroyed) await Promise.race([misbehave(socket), closed]);
  await Promise.race([closed, pause(1_000)]);
  socket.destroy();
}

function hello({ victim, clientId }: Bout, more: Partial<Extract<Packet, { cmd: 'connect' }>> = {}): Buffer {
  const { username, password } = victim;
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId,
    clean: true,
    keepalive: 60,
    username,
    password: Buffer.from(password),
    ...more,
  });
}

function publish(
  topic: string,
  payload: string | Buffer,
  qos: 0 | 1 | 2,
  messageId: number,
  retain = false,
): Buffer {
  return generate({ cmd: 'publish', topic, payload, qos, messageId, dup: false, retain });
}

function subscribe(topics: readonly string[], messageId: number): Buffer {
  const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }));
  return generate({ cmd: 'subscribe', messageId, subscriptions });
}

/** As fast as the other side takes it. */
async function repeat(socket: Socket, times: number, packet: (n: number) => Uint8Array): Promise<void> {
  for (let n = 1; n <= times && !socket.destroyed; n += 1) await write(socket, packet(n));
}

function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || socket.write(bytes)) {
      resolve();
      return;
    }
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

/** Resolves when it is closed, when the crowd goes home, or after so long. */
function gone(socket: Socket, signal: AbortSignal, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      socket.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, withinMs);
    socket.on('close', done);
    signal.addEventListener('abort', done);
    if (socket.destroyed || signal.aborted) done();
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
