/**
 * Publishers that keep a fixed number of QoS 1 publishes in flight each, over raw sockets: cheaper than any client
 * library, so that the broker is what is measured.
 */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

export interface Load {
  readonly port: number;
  readonly clients: number;
  readonly inFlight: number;
  /** Publishes in all. */
  readonly messages: number;
  readonly payloadBytes: number;
}

export interface LoadResult {
  readonly perSecond: number;
  /** Milliseconds from a publish to its acknowledgement. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function publish(load: Load): Promise<LoadResult> {
  const share = Math.floor(load.messages / load.clients);
  const publishers = await Promise.all(
    Array.from({ length: load.clients }, (_, index) => Publisher.open(load, index, share)),
  );
  const startedAt = performance.now();
  await Promise.all(publishers.map((publisher) => publisher.run()));
  const seconds = (performance.now() - startedAt) / 1_000;
  const latencies = publishers.flatMap((publisher) => publisher.latenciesMs).sort((a, b) => a - b);
  for (const publisher of publishers) publisher.close();
  const at = (share_: number): number => latencies[Math.floor(latencies.length * share_)] ?? 0;
  return { perSecond: Math.round((share * load.clients) / seconds), p50Ms: at(0.5), p99Ms: at(0.99) };
}

class Publisher {
  readonly latenciesMs: number[] = [];
  private readonly sentAt = new Float64Array(65_536);
  private sent = 0;
  private acknowledged = 0;
  private rest: Buffer = Buffer.alloc(0);
  private finish: () => void = () => undefined;
  private readonly head: Buffer;
  private readonly payload: Buffer;

  private constructor(
    private readonly socket: Socket,
    private readonly load: Load,
    index: number,
    private readonly share: number,
  ) {
    const topic = Buffer.from(`bench/door/${index}`);
    this.payload = Buffer.alloc(load.payloadBytes, 'x');
    const remaining = 2 + topic.length + 2 + this.payload.length;
    if (remaining > 127) throw new RangeError('keep the packet under 128 bytes: its length is one byte here');
    this.head = Buffer.concat([Buffer.from([0x32, remaining, 0, topic.length]), topic]);
    socket.on('data', (chunk) => this.take(chunk));
  }

  static async open(load: Load, index: number, share: number): Promise<Publisher> {
    const socket = connect({ port: load.port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const id = Buffer.from(`bench-${index}`);
    const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, id.length]);
    socket.write(Buffer.concat([Buffer.from([0x10, variable.length + id.length]), variable, id]));
    await once(socket, 'data');
    return new Publisher(socket, load, index, share);
  }

  run(): Promise<void> {
    return new Promise((resolve) => {
      this.finish = resolve;
      this.send(Math.min(this.load.inFlight, this.share));
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private send(count: number): void {
    const packets: Buffer[] = [];
    for (let n = 0; n < count && this.sent < this.share; n += 1) {
      this.sent += 1;
      const id = (this.sent % 65_535) + 1;
      this.sentAt[id] = performance.now();
      packets.push(this.head, Buffer.from([id >> 8, id & 0xff]), this.payload);
    }
    if (packets.length > 0) this.socket.write(Buffer.concat(packets));
  }

  /** PUBACK: 40 02 and the packet id. */
  private take(chunk: Buffer): void {
    const data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const whole = data.length - (data.length % 4);
    const now = performance.now();
    for (let at = 0; at < whole; at += 4) {
      if (data[at] !== 0x40) throw new Error(`expected a PUBACK, got packet type ${String(data[at])}`);
      this.latenciesMs.push(now - (this.sentAt[data.readUInt16BE(at + 2)] ?? now));
    }
    this.rest = data.subarray(whole);
    this.acknowledged += whole / 4;
    if (this.acknowledged >= this.share) this.finish();
    else this.send(whole / 4);
  }
}
