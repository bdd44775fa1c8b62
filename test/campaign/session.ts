/**
 * An MQTT 3.1.1 publisher that keeps the specification's word to the letter: what is not acknowledged is sent again
 * after every reconnect, in order, with DUP and under its old packet id [MQTT-4.4.0-1]. (Client libraries drop a
 * publish now and then when the connection breaks in the middle of it; then the books could not be compared.)
 */
import { connect, type Socket } from 'node:net';
import { generate, parser, type Packet } from 'mqtt-packet';

const RECONNECT_MS = 40;

interface Exchange {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  /** Sent before, over whatever connection. */
  wasSent: boolean;
  /** QoS 2: PUBREC has come, PUBREL is on its way. */
  isReceived: boolean;
  readonly done: () => void;
}

export class PublisherSession {
  private readonly pending = new Map<number, Exchange>();
  private socket: Socket | undefined;
  private isConnected = false;
  private isStopped = false;
  private lastId: number;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly port: number,
    private readonly clientId: string,
    firstId = 1,
  ) {
    this.lastId = firstId;
    this.open();
  }

  get unacknowledged(): number {
    return this.pending.size;
  }

  publish(topic: string, payload: string, qos: 1 | 2, done: () => void = () => undefined): void {
    do this.lastId = (this.lastId % 65_535) + 1;
    while (this.pending.has(this.lastId));
    const exchange: Exchange = { topic, payload, qos, wasSent: false, isReceived: false, done };
    this.pending.set(this.lastId, exchange);
    if (this.isConnected) this.send(this.lastId, exchange);
  }

  publishCarelessly(topic: string, payload: string): void {
    if (this.isConnected) this.write({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false });
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.socket?.destroy();
  }

  private open(): void {
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
    this.socket = socket;
    const packets = parser({ protocolVersion: 4 });
    packets.on('packet', (packet) => {
      if (socket === this.socket) this.take(packet);
    });
    socket.on('connect', () => {
      this.write({
        cmd: 'connect',
        clientId: this.clientId,
        clean: false,
        keepalive: 60,
        protocolVersion: 4,
        protocolId: 'MQTT',
      });
    });
    socket.on('data', (chunk) => packets.parse(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (socket !== this.socket) return;
      this.isConnected = false;
      if (!this.isStopped) this.timer = setTimeout(() => this.open(), RECONNECT_MS);
    });
  }

  private take(packet: Packet): void {
    if (packet.cmd === 'connack' && packet.returnCode === 0) {
      this.isConnected = true;
      for (const [id, exchange] of this.pending) this.send(id, exchange);
    } else if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') {
      const id = packet.messageId ?? 0;
      this.pending.get(id)?.done();
      this.pending.delete(id);
    } else if (packet.cmd === 'pubrec') {
      const exchange = this.pending.get(packet.messageId ?? 0);
      if (exchange) exchange.isReceived = true;
      this.write({ cmd: 'pubrel', messageId: packet.messageId ?? 0 });
    }
  }

  private send(messageId: number, exchange: Exchange): void {
    if (exchange.isReceived) {
      this.write({ cmd: 'pubrel', messageId });
      return;
    }
    const { topic, payload, qos, wasSent: dup } = exchange;
    exchange.wasSent = true;
    this.write({ cmd: 'publish', topic, payload, qos, dup, retain: false, messageId });
  }

  private write(packet: Packet): void {
    this.socket?.write(generate(packet, { protocolVersion: 4 }));
  }
}
