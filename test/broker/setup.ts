/**
 * A fresh broker with an inlet that tests hold and release, and clients that speak to it byte by byte.
 */
import { EventEmitter, once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { generate, parser, type Packet } from 'mqtt-packet';
import { onTestFinished } from 'vitest';
import { Broker } from '../../src/broker/broker.ts';
import type { BrokerOptions } from '../../src/broker/options.ts';
import type { Inlet, Publish, Taken } from '../../src/broker/inlet.ts';

interface Take {
  readonly publish: Publish;
  readonly done: Taken;
}

/** Says "done" at once, or, while held, when told to. Emits `take` and `released`. */
export class TestInlet extends EventEmitter implements Inlet {
  readonly takes: Take[] = [];
  readonly held: Take[] = [];
  readonly releases: { clientId: string; packetId: number }[] = [];
  isHolding = false;
  verdict: (publish: Publish) => Parameters<Taken> = () => [];

  take(publish: Publish, done: Taken): void {
    const take = { publish: { ...publish, payload: Buffer.from(publish.payload) }, done };
    this.takes.push(take);
    if (this.isHolding) this.held.push(take);
    else done(...this.verdict(publish));
    this.emit('take');
  }

  released(clientId: string, packetId: number): void {
    this.releases.push({ clientId, packetId });
    this.emit('released');
  }

  /** The payloads that were handed over, as text. */
  get payloads(): string[] {
    return this.takes.map(({ publish }) => Buffer.from(publish.payload).toString());
  }

  async taken(count: number): Promise<void> {
    while (this.takes.length < count) await once(this, 'take');
  }

  letGo(): void {
    this.isHolding = false;
    for (const { publish, done } of this.held.splice(0)) done(...this.verdict(publish));
  }
}

export interface Running {
  readonly broker: Broker;
  readonly inlet: TestInlet;
  readonly port: number;
  readonly ports: readonly number[];
  readonly logged: { level: string; message: string }[];
}

export async function setup(options: Partial<BrokerOptions> = {}): Promise<Running> {
  const inlet = new TestInlet();
  const logged: Running['logged'] = [];
  const broker = new Broker({
    listen: [{ host: '127.0.0.1', port: 0 }],
    inlet,
    log: (level, message) => logged.push({ level, message }),
    ...options,
  });
  onTestFinished(async () => {
    inlet.letGo();
    await broker.stop();
  });
  const ports = (await broker.start()).map(({ port }) => port);
  return { broker, inlet, port: ports[0] ?? 0, ports, logged };
}

/** Lets everything that is on its way over the loopback arrive. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export async function connectMqtt(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    reconnectPeriod: 0,
    protocolVersion: 4,
    ...options,
  });
  client.on('error', () => undefined);
  onTestFinished(() => client.endAsync(true));
  return client;
}

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
}

/** Collects what a subscriber gets, and waits for it. */
export class Mailbox {
  readonly received: Received[] = [];

  constructor(private readonly client: MqttClient) {
    client.on('message', (topic, payload, { qos, retain, dup }) => {
      this.received.push({ topic, payload: payload.toString(), qos, retain, dup });
    });
  }

  get payloads(): string[] {
    return this.received.map(({ payload }) => payload);
  }

  async until(count: number): Promise<void> {
    while (this.received.length < count) {
      await new Promise<void>((resolve) => this.client.once('message', () => resolve()));
    }
  }

  /** Resolves when everything that was published before has come. The end mark is taken out again. */
  async settle(port: number): Promise<void> {
    const publisher = await connectMqtt(port);
    await this.client.subscribeAsync('end-of-test', { qos: 1 });
    await publisher.publishAsync('end-of-test', '', { qos: 1 });
    const isMark = ({ topic }: Received): boolean => topic === 'end-of-test';
    while (!this.received.some(isMark)) await this.until(this.received.length + 1);
    this.received.splice(this.received.findIndex(isMark), 1);
  }
}

/** Speaks MQTT packet by packet over a bare socket. */
export class RawClient {
  readonly received: Packet[] = [];
  readonly bytes: Buffer[] = [];
  readonly closed: Promise<unknown>;
  private readonly news = new EventEmitter();

  private constructor(readonly socket: Socket) {
    const parse = parser();
    parse.on('packet', (packet) => {
      this.received.push(packet);
      this.news.emit('packet');
    });
    parse.on('error', () => undefined);
    socket.on('data', (chunk) => {
      this.bytes.push(chunk);
      parse.parse(chunk);
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    onTestFinished(() => void socket.destroy());
    return client;
  }

  static async connected(port: number, clientId: string, clean = true): Promise<RawClient> {
    const client = await RawClient.open(port);
    client.send({ cmd: 'connect', clientId, clean, keepalive: 60, protocolId: 'MQTT', protocolVersion: 4 });
    await client.next('connack');
    return client;
  }

  /** All packets in one chunk. */
  send(...packets: Packet[]): void {
    this.socket.write(Buffer.concat(packets.map((packet) => generate(packet))));
  }

  write(...bytes: number[]): void {
    this.socket.write(Uint8Array.from(bytes));
  }

  /** Removes and gives back the next packet of this kind, whatever else came. */
  async next<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    for (;;) {
      const index = this.received.findIndex((packet) => packet.cmd === cmd);
      const [packet] = index === -1 ? [] : this.received.splice(index, 1);
      if (packet && isCmd(packet, cmd)) return packet;
      await Promise.race([
        once(this.news, 'packet'),
        this.closed.then(() => Promise.reject(new Error(`closed while waiting for ${cmd}`))),
      ]);
    }
  }

  /** A round trip: whatever the broker was going to answer before has arrived. */
  async ping(): Promise<void> {
    this.send({ cmd: 'pingreq' });
    await this.next('pingresp');
  }
}

function isCmd<C extends Packet['cmd']>(packet: Packet, cmd: C): packet is Extract<Packet, { cmd: C }> {
  return packet.cmd === cmd;
}

export function publishPacket(
  topic: string,
  payload: string,
  options: { qos?: 0 | 1 | 2; messageId?: number; dup?: boolean; retain?: boolean } = {},
): Packet {
  const { qos = 0, dup = false, retain = false, messageId } = options;
  return {
    cmd: 'publish',
    topic,
    payload,
    qos,
    dup,
    retain,
    ...(messageId === undefined ? {} : { messageId }),
  };
}
