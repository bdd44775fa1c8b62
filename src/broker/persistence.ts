/* eslint-disable @typescript-eslint/require-await -- aedes wants promises, memory needs no waiting */
/**
 * What aedes keeps between packets, in its own interface (that of aedes-persistence 11): retained messages,
 * persistent sessions, and the inbound half of QoS 2. All in memory and bounded.
 *
 * Written anew and not derived from the memory persistence of aedes: that one has no bounds, lets `#` match
 * retained `$`-topics, and does not know empty topic levels, which the rest of aedes does (a persistent
 * subscriber of `+/door` was cut off by a publish to `/door`).
 *
 * aedes asks `incomingGetPacket` whether a QoS 2 PUBLISH is a second copy and answers from it without looking
 * at the message: a device that restarted and reuses a packet id would have its new reading swallowed. Here
 * only what the inlet called a duplicate is one.
 */
import { Readable } from 'node:stream';
import type { QoS } from './inlet.ts';
import type { QueuedMessage, Sessions } from './sessions.ts';
import type { RetainedMessages } from './retained.ts';

interface ClientRef {
  readonly id: string;
}

/** What aedes passes around as a packet, as far as it is used here. */
interface Packet {
  readonly cmd?: string;
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly brokerCounter: number;
  readonly messageId?: number;
}

interface SubscriptionRef {
  readonly topic: string;
  readonly qos: QoS;
}

export interface PersistenceParts {
  readonly retained: RetainedMessages;
  readonly sessions: Sessions;
  /** aedes also hands over the subscriptions it refused. */
  readonly isGranted: (client: ClientRef, filter: string) => boolean;
  /** Whether the inlet knew this very QoS 2 PUBLISH. */
  readonly isDuplicate: (packet: object) => boolean;
  readonly release: (clientId: string, packetId: number) => Promise<void>;
  readonly forgetExchanges: (clientId: string) => void;
  readonly onRetainedDropped: (topic: string) => void;
  readonly onQueuedDropped: (clientId: string) => void;
}

export class Persistence {
  constructor(private readonly parts: PersistenceParts) {}

  /** aedes insists on a native async function. */
  async setup(): Promise<void> {}

  async destroy(): Promise<void> {}

  // Retained messages

  async storeRetained({ topic, payload, qos }: Packet): Promise<void> {
    if (!this.parts.retained.store(topic, Buffer.from(payload), qos)) this.parts.onRetainedDropped(topic);
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const { retained } = this.parts;
    return Readable.from(
      (function* () {
        for (const filter of filters) yield* retained.match(filter);
      })(),
    );
  }

  // Sessions

  async addSubscriptions(client: ClientRef, subscriptions: readonly SubscriptionRef[]): Promise<void> {
    for (const { topic, qos } of subscriptions) {
      if (this.parts.isGranted(client, topic)) this.parts.sessions.subscribe(client.id, topic, qos);
    }
  }

  async removeSubscriptions(client: ClientRef, filters: readonly string[]): Promise<void> {
    for (const filter of filters) this.parts.sessions.unsubscribe(client.id, filter);
  }

  async subscriptionsByClient({ id }: ClientRef): Promise<SubscriptionRef[]> {
    return this.parts.sessions.resume(id).map(([topic, qos]) => ({ topic, qos }));
  }

  /** The client came with a clean session [MQTT-3.1.2-6]. */
  async cleanSubscriptions({ id }: ClientRef): Promise<void> {
    this.parts.sessions.end(id);
  }

  async subscriptionsByTopic(topic: string): Promise<(SubscriptionRef & { clientId: string })[]> {
    // Nothing under $SYS is forwarded.
    if (topic.startsWith('$SYS/')) return [];
    const subscribers = this.parts.sessions.subscribers(topic);
    return Array.from(subscribers, ([clientId, qos]) => ({ clientId, topic, qos }));
  }

  // Outgoing messages of sessions

  async outgoingEnqueue(subscriber: { clientId: string; qos?: QoS }, packet: Packet): Promise<void> {
    await this.outgoingEnqueueCombi([subscriber], packet);
  }

  async outgoingEnqueueCombi(
    subscribers: readonly { clientId: string; qos?: QoS }[],
    { topic, payload, qos, brokerCounter }: Packet,
  ): Promise<void> {
    if (subscribers.length === 0) return;
    const copy = Buffer.from(payload);
    for (const { clientId, qos: granted } of subscribers) {
      const message: QueuedMessage = {
        counter: brokerCounter,
        topic,
        payload: copy,
        qos: granted === 1 ? 1 : qos,
        packetId: undefined,
        isReceived: false,
      };
      if (!this.parts.sessions.enqueue(clientId, message)) this.parts.onQueuedDropped(clientId);
    }
  }

  /**
   * A message goes out under a packet id, or its PUBREC came. Unlike that of aedes-persistence this does not
   * fail where the queue had no room for the message: it is delivered all the same, only not a second time.
   */
  async outgoingUpdate({ id }: ClientRef, packet: Packet): Promise<void> {
    const { sessions } = this.parts;
    if (packet.messageId === undefined) return;
    // A PUBREL sent again carries a counter too, but none that is in the queue.
    if (sessions.sent(id, packet.brokerCounter, packet.messageId)) return;
    if (packet.cmd === 'pubrel') sessions.received(id, packet.messageId);
  }

  async outgoingClearMessageId({ id }: ClientRef, { messageId }: Packet): Promise<unknown> {
    if (messageId === undefined) return undefined;
    const message = this.parts.sessions.acknowledged(id, messageId);
    return message && asPacket(message);
  }

  outgoingStream({ id }: ClientRef): Readable {
    return Readable.from(this.parts.sessions.waiting(id).map(asPacket));
  }

  // Incoming QoS 2

  /** Resolving means "known already". */
  async incomingGetPacket(_client: ClientRef, packet: Packet): Promise<object> {
    // A PUBREL is answered with PUBCOMP whatever is known of it: the exchange may be older than this process.
    if (packet.cmd === 'pubrel') return packet;
    if (!this.parts.isDuplicate(packet)) throw new Error('not a duplicate');
    // The process may have ended between the first copy's commit and its retained message.
    if (packet.retain) await this.storeRetained(packet);
    return packet;
  }

  /** Nothing to store: the inlet took the publish before aedes came here. */
  async incomingStorePacket(): Promise<void> {}

  /** PUBREL. */
  async incomingDelPacket({ id }: ClientRef, { messageId }: Packet): Promise<void> {
    if (messageId !== undefined) await this.parts.release(id, messageId);
  }

  async cleanIncoming({ id }: ClientRef): Promise<void> {
    this.parts.forgetExchanges(id);
  }

  // Wills: aedes keeps them with the connection; only brokers in a cluster need to find each other's.

  async putWill(): Promise<void> {}

  async delWill(): Promise<void> {}

  streamWill(): Readable {
    return Readable.from([]);
  }
}

function asPacket({ counter, topic, payload, qos, packetId, isReceived }: QueuedMessage): object {
  if (isReceived) return { cmd: 'pubrel', messageId: packetId };
  return {
    cmd: 'publish',
    brokerCounter: counter,
    topic,
    payload,
    qos,
    // [MQTT-3.3.1-9]: the subscription was there before the message.
    retain: false,
    // [MQTT-3.3.1-1]
    dup: packetId !== undefined,
    messageId: packetId,
  };
}
