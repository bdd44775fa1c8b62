/* eslint-disable @typescript-eslint/require-await -- aedes wants promises, memory needs no waiting */
/**
 * What aedes keeps between packets, in its own interface (that of aedes-persistence 11): retained messages,
 * persistent sessions, wills, and the inbound half of QoS 2. In memory and bounded; where the protocol owes somebody
 * an answer that must hold after a crash, the promise waits for the commit.
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
import type { QueuedMessage } from './outbox.ts';
import type { Target } from './staging.ts';
import type { State } from './state.ts';
import type { SubscriptionOptions } from './store.ts';
import type { Will, WillOwner } from './wills.ts';

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
  /** Of a packet that is about to be sent: what is set here is what goes out. */
  messageId?: number;
}

interface SubscriptionRef extends SubscriptionOptions {
  readonly topic: string;
}

export interface PersistenceParts {
  readonly state: State;
  /** aedes also hands over the subscriptions it refused. */
  readonly isGranted: (client: ClientRef, filter: string) => boolean;
  readonly accountOf: (client: ClientRef) => string | undefined;
  /** Whether the inlet knew this very QoS 2 PUBLISH. */
  readonly isDuplicate: (packet: object) => boolean;
  /** Packets that went out before, for whoever sets their DUP flag. */
  readonly resent: WeakSet<object>;
  readonly release: (clientId: string, packetId: number) => Promise<void>;
  readonly forgetExchanges: (clientId: string) => void;
  readonly isStopping: () => boolean;
}

export class Persistence {
  /** The run of the broker. */
  broker = { id: '' };

  constructor(private readonly parts: PersistenceParts) {}

  /** aedes insists on a native async function. */
  async setup(broker: { id: string }): Promise<void> {
    this.broker = broker;
    this.parts.state.sessions.restart();
    this.parts.state.wills.restart();
  }

  async destroy(): Promise<void> {}

  // Retained messages

  async storeRetained({ topic, payload, qos }: Packet): Promise<void> {
    this.parts.state.staging.storeRetained({ topic, payload: asBuffer(payload), qos });
  }

  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter]);
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const { retained } = this.parts.state;
    return Readable.from(
      (async function* () {
        for (const filter of filters) yield* retained.match(filter);
      })(),
    );
  }

  // Sessions

  /** The SUBACK waits for it. */
  async addSubscriptions(client: ClientRef, subscriptions: readonly SubscriptionRef[]): Promise<void> {
    let isNew = false;
    for (const { topic, ...given } of subscriptions) {
      if (!this.parts.isGranted(client, topic)) continue;
      isNew = this.parts.state.sessions.subscribe(client.id, topic, optionsOf(given)) || isNew;
    }
    if (isNew) await this.parts.state.changes.stored();
  }

  /** The UNSUBACK waits for it. */
  async removeSubscriptions({ id }: ClientRef, filters: readonly string[]): Promise<void> {
    let isKnown = false;
    for (const filter of filters) isKnown = this.parts.state.sessions.unsubscribe(id, filter) || isKnown;
    if (isKnown) await this.parts.state.changes.stored();
  }

  async subscriptionsByClient({ id }: ClientRef): Promise<SubscriptionRef[]> {
    return this.parts.state.sessions.resume(id).map(([topic, options]) => ({ topic, ...options }));
  }

  /** The client came with a clean session [MQTT-3.1.2-6]. */
  async cleanSubscriptions({ id }: ClientRef): Promise<void> {
    this.parts.state.sessions.end(id);
  }

  async subscriptionsByTopic(topic: string): Promise<(SubscriptionRef & { clientId: string })[]> {
    // Nothing under $SYS is forwarded.
    if (topic.startsWith('$SYS/')) return [];
    const found = this.parts.state.sessions.subscribers(topic);
    return found.map(({ clientId, filter, options }) => ({ clientId, topic: filter, ...options }));
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    const { sessions } = this.parts.state;
    return { subsCount: sessions.waitingSubscriptions, clientsCount: sessions.count };
  }

  getClientList(filter: string): Readable {
    return Readable.from(this.parts.state.sessions.withFilter(filter));
  }

  // Outgoing messages of sessions

  async outgoingEnqueue(subscriber: Target, packet: Packet): Promise<void> {
    await this.outgoingEnqueueCombi([subscriber], packet);
  }

  async outgoingEnqueueCombi(
    subscribers: readonly Target[],
    { topic, payload, qos, brokerCounter }: Packet,
  ): Promise<void> {
    this.parts.state.staging.enqueue(subscribers, { topic, payload: asBuffer(payload), qos }, brokerCounter);
  }

  /**
   * A message goes out under a packet id, or its PUBREC came. Unlike that of aedes-persistence this does not
   * fail where the queue had no room for the message: it is delivered all the same, only not a second time.
   *
   * With QoS 2 the packet waits: sent under another id after a crash it would be another message, and a PUBLISH
   * after a PUBREL a second one.
   */
  async outgoingUpdate({ id }: ClientRef, packet: Packet): Promise<void> {
    const { sessions, changes } = this.parts.state;
    const { cmd, brokerCounter, messageId } = packet;
    if (messageId === undefined) return;
    if (cmd === 'pubrel') {
      if (sessions.received(id, messageId)) await changes.stored();
      return;
    }
    const message = sessions.outgoing(id, brokerCounter);
    if (!message) return;
    if (message.wasSent) this.parts.resent.add(packet);
    packet.messageId = sessions.send(message, messageId);
    if (message.qos < 2) changes.promptly();
    else if (changes.queue.has(message.seq)) await changes.stored();
  }

  async outgoingClearMessageId({ id }: ClientRef, { messageId }: Packet): Promise<unknown> {
    if (messageId === undefined) return undefined;
    const message = this.parts.state.sessions.acknowledged(id, messageId);
    if (!message) return undefined;
    this.parts.state.changes.promptly();
    return this.asPacket(message);
  }

  outgoingStream({ id }: ClientRef): Readable {
    return Readable.from(this.parts.state.sessions.waiting(id).map((message) => this.asPacket(message)));
  }

  // Incoming QoS 2

  /** Resolving means "known already". */
  async incomingGetPacket(_client: ClientRef, packet: Packet): Promise<object> {
    // A PUBREL is answered with PUBCOMP whatever is known of it: the exchange may be older than this process.
    if (packet.cmd === 'pubrel') return packet;
    if (!this.parts.isDuplicate(packet)) throw new Error('not a duplicate');
    // The process may have ended between the commit of the first copy's reading and that of its retained message.
    if (packet.retain) await this.storeRetained(packet);
    if (this.parts.state.changes.retained.has(packet.topic)) await this.parts.state.changes.stored();
    return packet;
  }

  /** Nothing to store: the inlet took the publish before aedes came here. */
  async incomingStorePacket(): Promise<void> {}

  /** PUBREL. */
  async incomingDelPacket({ id }: ClientRef, { messageId }: Packet): Promise<void> {
    if (messageId === undefined) return;
    const { staging, changes } = this.parts.state;
    const isStored = staging.isStored(id, messageId);
    await this.parts.release(id, messageId);
    if (isStored) await changes.stored();
  }

  async cleanIncoming({ id }: ClientRef): Promise<void> {
    this.parts.forgetExchanges(id);
  }

  // Wills

  async putWill(client: WillOwner, will: Will): Promise<void> {
    this.parts.state.wills.put(client, will, this.parts.accountOf(client), this.broker.id);
  }

  async getWill({ id }: ClientRef): Promise<Will | undefined> {
    return this.parts.state.wills.get(id);
  }

  /** A broker that stops has published no will: its clients may be gone before it is back. */
  async delWill(client: WillOwner): Promise<Will | undefined> {
    return this.parts.isStopping() ? undefined : this.parts.state.wills.delete(client);
  }

  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Readable {
    return Readable.from(this.parts.state.wills.foreign(brokers));
  }

  private asPacket({ counter, seq, topic, payload, qos, packetId, isReceived }: QueuedMessage): object {
    if (isReceived) return { cmd: 'pubrel', messageId: packetId };
    return {
      cmd: 'publish',
      brokerId: this.broker.id,
      // One of an earlier run has no number in this one: see `Outbox.find`.
      brokerCounter: counter ?? -seq,
      topic,
      payload,
      qos,
      // [MQTT-3.3.1-9]: the subscription was there before the message.
      retain: false,
      dup: false,
      messageId: packetId,
    };
  }
}

/** Only what was given: aedes compares and passes on what it gets back. */
function optionsOf({ qos, rh, rap, nl, subscriptionIdentifier }: SubscriptionOptions): SubscriptionOptions {
  return {
    qos,
    ...(rh !== undefined && { rh }),
    ...(rap !== undefined && { rap }),
    ...(nl !== undefined && { nl }),
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
  };
}

function asBuffer(payload: Buffer | string): Buffer {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}
