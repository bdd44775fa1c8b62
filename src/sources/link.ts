/**
 * One connection to a broker, from dialling to its end, over mqtt.js.
 *
 * What mqtt.js 5.16 does, seen on the wire, and what is done about it:
 * - `customHandleAcks` is not called at all with MQTT 3.1.1. So `handleMessage` holds back the PUBACK (QoS 1) and
 *   the store of incoming packets the PUBREC (QoS 2), which works with both versions.
 * - It handles one packet after the other: the next one waits until this one is acknowledged. Acknowledgements
 *   leave in the order of the messages [MQTT-4.6.0-2], and nothing piles up; a commit carries one message of a
 *   connection. Messages of QoS 0 need no acknowledgement and are let through, up to a bound.
 * - An acknowledgement given after a reconnect leaves on the new connection, where its packet id may mean another
 *   message. So a client lives for one connection only; the next one is a new client, and late calls go nowhere.
 * - It knows nothing of a QoS 2 exchange of an earlier client: the repeated PUBLISH comes with DUP and is
 *   known by its mark, the PUBREL is answered.
 * - Where a Receive Maximum is set and the broker sends more, it hangs up. Mosquitto 2.0.11 does send more when a
 *   session is resumed, every time again: nothing would get through. So none is set: at most 65,535 messages can be
 *   under way, what is not read yet waits in the socket, and brokers have bounds of their own.
 * - Errors of a websocket's handshake are swallowed; they are listened for on the stream.
 * - A packet is gathered whole, however large it is. MQTT 5 can ask for none above a size; MQTT 3.1.1 cannot, and a broker
 *   need not be honest. So the stream is watched: where a larger one begins, the connection is given up.
 */
import { isIP } from 'node:net';
import {
  Store,
  connect,
  type IClientOptions,
  type IConnackPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt';
import { networkFailure, refusal, tooLarge, type Failure } from './failure.ts';
import { PacketBound } from './packet-bound.ts';
import type { Announcement, QoS, SourceOptions } from './ports.ts';

export interface Incoming {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetId: number | undefined;
}

export interface LinkEvents {
  /** The broker has accepted us; comes before the first message. */
  readonly accepted: (isSessionPresent: boolean) => void;
  /** Subscribing is possible. */
  readonly ready: () => void;
  /** `done` without an error acknowledges; with one, the connection must be given up. */
  readonly message: (message: Incoming, done: (error?: Error) => void) => void;
  /** The broker has seen our acknowledgement. */
  readonly released: (packetIds: Iterable<number>) => void;
  /** Once, at the end, unless `close` was called. */
  readonly failed: (failure: Failure) => void;
}

const CONNECT_TIMEOUT_MS = 15_000;
const CLOSE_PATIENCE_MS = 1_000;
/** How long the broker keeps session and queue for us. */
const SESSION_EXPIRY_S = 30 * 86_400;
/** With MQTT 5 the broker leaves larger ones out. */
const MOST_PACKET_BYTES = 1_048_576;
/** An MQTT 3.1.1 session gets what is too large again and again, and nothing behind it: more is borne there. */
const MOST_SESSION_PACKET_BYTES = 16 * 1_048_576;
/** Messages of QoS 0 that wait to be stored; above it, the connection is no longer read from. */
const MOST_UNACKNOWLEDGED = 200;

export class Link {
  private client: MqttClient | undefined;
  private isOver = false;
  private wasAccepted = false;
  private streamError: unknown;
  private waitingQos0 = 0;
  /** Acknowledged, and not known to have reached the broker; those before the last ping. */
  private acknowledged = new Set<number>();
  private pinged = new Set<number>();

  constructor(
    private readonly options: SourceOptions,
    readonly version: 4 | 5,
    private readonly will: Announcement | undefined,
    private readonly events: LinkEvents,
    /** The broker forgets what it kept for us, and keeps nothing after this connection. */
    private readonly isClean = false,
  ) {}

  /** Everything that follows is told by the events. */
  open(): void {
    let client: MqttClient;
    try {
      client = connect(this.clientOptions());
      this.listen(client);
      client.connect();
    } catch (error) {
      // A certificate or key that cannot be read as one. There is no stream, and a client without one cannot be ended.
      this.fail(networkFailure(error));
      return;
    }
    this.client = client;
    if (this.isOver) client.end(true);
    const bound = new PacketBound(this.mostPacketBytes);
    client.stream.on('data', (chunk: Uint8Array) => {
      if (bound.isBroken(chunk)) this.fail(tooLarge(bound.mostBytes));
    });
    client.stream.on('error', (error: unknown) => {
      this.streamError = error;
    });
  }

  /** Resolves with a reason code for each filter: 0x80 and above are refusals. */
  subscribe(filters: readonly string[], qos: QoS): Promise<number[]> {
    // No Local: what the bridge publishes does not come back. Retained messages only where the subscription is
    // new, and without the flag of what was forwarded.
    const options = this.version === 5 ? { qos, nl: true, rap: false, rh: 1 } : { qos };
    return new Promise((resolve, reject) => {
      const client = this.client;
      if (!client || this.isOver) {
        reject(new Error('not connected'));
        return;
      }
      client.subscribe([...filters], options, (error, _granted, packet) => {
        if (packet) resolve(packet.granted.map(Number));
        else reject(error ?? new Error('no answer to the SUBSCRIBE'));
      });
    });
  }

  unsubscribe(filters: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const client = this.client;
      if (!client || this.isOver) {
        reject(new Error('not connected'));
        return;
      }
      client.unsubscribe([...filters], (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Resolves when the broker has answered on this connection, and rejects where it is lost. */
  answers(): Promise<void> {
    // A PINGRESP does not tell which PINGREQ it answers; an UNSUBACK does, and there always is one [MQTT-3.10.4-5].
    return this.unsubscribe(['mqtt2exist/nothing']);
  }

  /** Retained, QoS 1; resolves when the broker has it. */
  publish({ topic, payload }: Announcement): Promise<void> {
    return new Promise((resolve, reject) => {
      const client = this.client;
      if (!client || this.isOver) {
        reject(new Error('not connected'));
        return;
      }
      client.publish(topic, payload, { qos: 1, retain: true }, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Gives the connection up without ado: the broker sends again what was not acknowledged. */
  abort(failure: Failure): void {
    this.fail(failure);
  }

  /**
   * Says goodbye; nothing more is told.
   * @param endSession the broker need not keep anything for us (it can be told so with MQTT 5 only)
   */
  async close(endSession: boolean): Promise<void> {
    const { client, isOver } = this;
    this.isOver = true;
    if (!client || isOver) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        // A message that waits for its acknowledgement keeps what is behind it, the end as well, from being read.
        client.stream.destroy();
        resolve();
      }, CLOSE_PATIENCE_MS);
      const properties = endSession && this.version === 5 ? { properties: { sessionExpiryInterval: 0 } } : {};
      client.end(!this.wasAccepted, properties, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private get mostPacketBytes(): number {
    return this.version === 4 && !this.isClean ? MOST_SESSION_PACKET_BYTES : MOST_PACKET_BYTES;
  }

  private clientOptions(): IClientOptions {
    const { options, version, will } = this;
    const { ca, cert, key } = options.tls;
    const isWebsocket = options.scheme === 'ws' || options.scheme === 'wss';
    return {
      protocol: options.scheme,
      host: options.host,
      // Of websockets it becomes part of a URL.
      hostname: isWebsocket && isIP(options.host) === 6 ? `[${options.host}]` : options.host,
      port: options.port,
      path: options.path,
      // A message of a websocket may carry several packets, and is gathered whole as well.
      ...(isWebsocket && { wsOptions: { maxPayload: MOST_SESSION_PACKET_BYTES } }),
      protocolVersion: version,
      clientId: options.clientId,
      clean: this.isClean,
      keepalive: options.keepAliveS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      manualConnect: true,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      incomingStore: new IncomingStore((packet, done) => {
        this.receive(packet, done);
      }),
      ...(options.username !== undefined && { username: options.username }),
      ...(options.password !== undefined && { password: options.password }),
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(will && { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true } }),
      ...(version === 5 && {
        properties: {
          sessionExpiryInterval: this.isClean ? 0 : SESSION_EXPIRY_S,
          maximumPacketSize: this.mostPacketBytes,
        },
      }),
    };
  }

  private listen(client: MqttClient): void {
    client.handleMessage = (packet, done) => {
      // With QoS 2 this is called at the PUBREL: the message was taken when it came.
      if (packet.qos === 2) done();
      else this.receive(packet, done);
    };
    client.on('packetreceive', (packet) => {
      if (this.isOver) return;
      if (packet.cmd === 'connack') {
        const code = this.version === 5 ? packet.reasonCode : packet.returnCode;
        if (code === 0) {
          this.wasAccepted = true;
          this.events.accepted(packet.sessionPresent);
        } else {
          this.fail(refusal(code ?? -1, this.wordsOf(packet)));
        }
      } else if (packet.cmd === 'disconnect') {
        this.fail(refusal(packet.reasonCode ?? 0, this.wordsOf(packet)));
      } else if (packet.cmd === 'pubrel') {
        if (packet.messageId !== undefined) this.events.released([packet.messageId]);
      } else if (packet.cmd === 'pingresp') {
        this.events.released(this.pinged);
        this.pinged = new Set();
      }
    });
    client.on('packetsend', (packet) => {
      if (packet.cmd === 'puback' && packet.messageId !== undefined) this.acknowledged.add(packet.messageId);
      if (packet.cmd === 'pingreq') {
        for (const packetId of this.acknowledged) this.pinged.add(packetId);
        this.acknowledged = new Set();
      }
    });
    client.on('connect', () => {
      if (!this.isOver) this.events.ready();
    });
    client.on('error', (error) => {
      this.fail(networkFailure(error));
    });
    client.on('close', () => {
      this.fail(
        this.streamError !== undefined
          ? networkFailure(this.streamError)
          : this.wasAccepted
            ? { text: 'the broker closed the connection', kind: 'other' }
            : { text: 'the broker closed the connection without an answer', kind: 'mute' },
      );
    });
  }

  /** A PUBLISH came; `done` lets its acknowledgement out, and the next packet in. */
  private receive(packet: IPublishPacket, done: () => void): void {
    if (this.isOver) return;
    const { topic, payload, qos, retain, dup, messageId } = packet;
    if (messageId !== undefined) {
      // The id is in use again.
      this.acknowledged.delete(messageId);
      this.pinged.delete(messageId);
    }
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const message = { topic, payload: bytes, qos, retain, dup, packetId: qos === 0 ? undefined : messageId };
    if (qos === 0) {
      this.waitingQos0 += 1;
      const isFull = this.waitingQos0 > MOST_UNACKNOWLEDGED;
      // It is lost where it cannot be stored: nobody would send it again.
      this.events.message(message, () => {
        this.waitingQos0 -= 1;
        if (isFull) done();
      });
      if (!isFull) done();
      return;
    }
    this.events.message(message, (error) => {
      if (this.isOver) return;
      if (error) this.fail({ text: `its messages cannot be stored: ${error.message}`, kind: 'other' });
      else done();
    });
  }

  /** What the broker gives as its reason; it may repeat what it was told. */
  private wordsOf({ properties }: IConnackPacket | IDisconnectPacket): string | undefined {
    const { password } = this.options;
    const words = properties?.reasonString;
    return password === undefined ? words : words?.replaceAll(password, '[password]');
  }

  private fail(failure: Failure): void {
    if (this.isOver) return;
    this.isOver = true;
    this.client?.end(true);
    this.events.failed(failure);
  }
}

/** Where mqtt.js puts a QoS 2 message before it sends the PUBREC. */
class IncomingStore extends Store {
  constructor(private readonly receive: (packet: IPublishPacket, done: () => void) => void) {
    super({ clean: false });
  }

  override put(packet: Parameters<Store['put']>[0], done: () => void): this {
    if (packet.cmd !== 'publish') return super.put(packet, done);
    this.receive(packet, () => {
      // Only that there is such an exchange needs to be known until the PUBREL.
      super.put({ ...packet, payload: '' }, done);
    });
    return this;
  }
}
