/**
 * Persistent sessions (clean session 0), in memory: what a client subscribed to, and the messages that wait
 * for it or for its acknowledgement.
 *
 * A client that only publishes has no session here: there is nothing to keep for it.
 */
import { SubscriptionTree } from './filters.ts';
import type { QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';

/** A message on its way out. `counter` is the broker's own running number. */
export interface QueuedMessage {
  readonly counter: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  /** Set once it was sent. */
  packetId: number | undefined;
  /** QoS 2: the subscriber has it (PUBREC came), only the PUBREL is owed. */
  isReceived: boolean;
}

interface Session {
  readonly subscriptions: Map<string, QoS>;
  /** By counter, in order of arrival. */
  readonly queue: Map<number, QueuedMessage>;
  readonly sent: Map<number, QueuedMessage>;
}

type SessionLimits = Pick<
  BrokerLimits,
  'sessions' | 'subscriptionsPerClient' | 'queuedMessages' | 'queuedBytes'
>;

export class Sessions {
  /** In order of last use, the longest unused first. */
  private readonly sessions = new Map<string, Session>();
  private readonly tree = new SubscriptionTree();
  private bytes = 0;

  constructor(
    private readonly limits: SessionLimits,
    private readonly isConnected: (clientId: string) => boolean,
  ) {}

  subscribe(clientId: string, filter: string, qos: QoS): void {
    const session = this.sessions.get(clientId) ?? this.create(clientId);
    const isNew = session !== undefined && !session.subscriptions.has(filter);
    if (!session || (isNew && session.subscriptions.size >= this.limits.subscriptionsPerClient)) return;
    session.subscriptions.set(filter, qos);
    // Messages wait only for subscriptions with QoS 1 and 2.
    if (qos > 0) this.tree.add(filter, clientId, qos);
    else this.tree.remove(filter, clientId);
  }

  unsubscribe(clientId: string, filter: string): void {
    const session = this.sessions.get(clientId);
    if (!session?.subscriptions.delete(filter)) return;
    this.tree.remove(filter, clientId);
    if (session.subscriptions.size === 0 && session.queue.size === 0) this.sessions.delete(clientId);
  }

  has(clientId: string): boolean {
    return this.sessions.has(clientId);
  }

  /** The client is back. */
  resume(clientId: string): [filter: string, qos: QoS][] {
    const session = this.sessions.get(clientId);
    if (!session) return [];
    this.sessions.delete(clientId);
    this.sessions.set(clientId, session);
    return [...session.subscriptions];
  }

  end(clientId: string): void {
    const session = this.sessions.get(clientId);
    if (!session) return;
    for (const filter of session.subscriptions.keys()) this.tree.remove(filter, clientId);
    for (const message of session.queue.values()) this.bytes -= sizeOf(message);
    this.sessions.delete(clientId);
  }

  /** Clients whose sessions want messages of `topic`, and with which QoS. */
  subscribers(topic: string): Map<string, QoS> {
    return this.tree.match(topic);
  }

  /** False where the session's queue has no room for it. */
  enqueue(clientId: string, message: QueuedMessage): boolean {
    const session = this.sessions.get(clientId);
    const size = sizeOf(message);
    if (!session || session.queue.size >= this.limits.queuedMessages) return false;
    if (this.bytes + size > this.limits.queuedBytes) return false;
    session.queue.set(message.counter, message);
    this.bytes += size;
    return true;
  }

  /** The message with this counter went out under a packet id. False where it is not in the queue. */
  sent(clientId: string, counter: number, packetId: number): boolean {
    const session = this.sessions.get(clientId);
    const message = session?.queue.get(counter);
    if (!session || !message) return false;
    message.packetId = packetId;
    session.sent.set(packetId, message);
    return true;
  }

  /** PUBREC came for this packet id. */
  received(clientId: string, packetId: number): void {
    const message = this.sessions.get(clientId)?.sent.get(packetId);
    if (message) message.isReceived = true;
  }

  /** PUBACK or PUBCOMP came for this packet id. */
  acknowledged(clientId: string, packetId: number): QueuedMessage | undefined {
    const session = this.sessions.get(clientId);
    const message = session?.sent.get(packetId);
    if (!session || !message) return undefined;
    session.sent.delete(packetId);
    if (session.queue.delete(message.counter)) this.bytes -= sizeOf(message);
    return message;
  }

  /** What waits for the client, oldest first. */
  waiting(clientId: string): QueuedMessage[] {
    return [...(this.sessions.get(clientId)?.queue.values() ?? [])];
  }

  private create(clientId: string): Session | undefined {
    if (this.sessions.size >= this.limits.sessions && !this.evict()) return undefined;
    const session: Session = { subscriptions: new Map(), queue: new Map(), sent: new Map() };
    this.sessions.set(clientId, session);
    return session;
  }

  private evict(): boolean {
    for (const clientId of this.sessions.keys()) {
      if (this.isConnected(clientId)) continue;
      this.end(clientId);
      return true;
    }
    return false;
  }
}

function sizeOf({ topic, payload }: QueuedMessage): number {
  return topic.length + payload.length;
}
