/**
 * Persistent sessions (clean session 0): what a client subscribed to, and the messages that wait for it or for its
 * acknowledgement. In memory and bounded; what changes is told to the write-behind.
 *
 * A client that only publishes has no session here: there is nothing to keep for it.
 *
 * A session whose client never comes back expires. Its age is counted in hours that the broker has run: the clock of
 * a small machine may jump by decades, and a summer with the power off makes no session old.
 */
import { SubscriptionTree, type Subscriber } from './filters.ts';
import type { BrokerLimits } from './limits.ts';
import { Outbox, type QueuedMessage } from './outbox.ts';
import type { BrokerState, StoredMessage, StoredSession, SubscriptionOptions } from './store.ts';
import type { WriteBehind } from './write-behind.ts';

interface Session {
  readonly account: string | undefined;
  usedHour: number;
  readonly subscriptions: Map<string, SubscriptionOptions>;
  readonly outbox: Outbox;
}

type SessionLimits = Pick<
  BrokerLimits,
  'sessions' | 'subscriptionsPerClient' | 'queuedMessages' | 'queuedBytes' | 'sessionIdleHours'
>;

export interface SessionParts {
  readonly limits: SessionLimits;
  readonly changes: WriteBehind;
  readonly isConnected: (clientId: string) => boolean;
  /** Whose client this is. */
  readonly accountOf: (clientId: string) => string | undefined;
}

/** A waiting message's objects and its places in the maps. */
const OVERHEAD_BYTES = 500;

/** A connected client's session is marked as used this often. */
const TOUCH_HOURS = 24;

export class Sessions {
  /** In order of last use, the longest unused first. */
  private readonly sessions = new Map<string, Session>();
  private readonly tree = new SubscriptionTree();
  private bytes = 0;
  private lastSeq = 0;
  private hours = 0;

  constructor(private readonly parts: SessionParts) {}

  /** Takes up what was stored; what finds no room is removed there too. */
  restore({ hours, sessions, subscriptions, queue }: BrokerState): void {
    this.hours = hours;
    for (const { clientId, account, usedHour } of sessions) this.add(clientId, account, usedHour);
    while (this.sessions.size > this.parts.limits.sessions && this.evict());
    for (const { clientId, filter, options } of subscriptions) {
      const session = this.sessions.get(clientId);
      if (session && this.hasRoom(session, filter)) this.remember(clientId, session, filter, options);
      else this.parts.changes.subscriptions.remove({ clientId, filter });
    }
    for (const stored of queue) {
      this.lastSeq = Math.max(this.lastSeq, stored.seq);
      const session = this.sessions.get(stored.clientId);
      if (session && this.fits(session, sizeOf(stored))) this.queue(session, restored(stored));
      else this.parts.changes.queue.remove(stored.seq);
    }
  }

  /** A run of the broker begins. */
  restart(): void {
    for (const { outbox } of this.sessions.values()) outbox.restart();
  }

  /** Whether something changed. */
  subscribe(clientId: string, filter: string, options: SubscriptionOptions): boolean {
    const session = this.sessions.get(clientId) ?? this.create(clientId);
    if (!session || !this.hasRoom(session, filter)) return false;
    if (isSame(session.subscriptions.get(filter), options)) return false;
    this.remember(clientId, session, filter, options);
    this.parts.changes.subscriptions.put({ clientId, filter }, { clientId, filter, options });
    return true;
  }

  /** Whether something changed. */
  unsubscribe(clientId: string, filter: string): boolean {
    const session = this.sessions.get(clientId);
    if (!session?.subscriptions.delete(filter)) return false;
    this.tree.remove(filter, clientId);
    this.parts.changes.subscriptions.remove({ clientId, filter });
    if (session.subscriptions.size === 0 && session.outbox.size === 0) this.end(clientId);
    return true;
  }

  has(clientId: string): boolean {
    return this.sessions.has(clientId);
  }

  /** All sessions, with whose they are. */
  *owners(): Generator<[clientId: string, account: string | undefined]> {
    for (const [clientId, { account }] of this.sessions) yield [clientId, account];
  }

  get count(): number {
    return this.sessions.size;
  }

  /** Subscriptions for which messages wait. */
  get waitingSubscriptions(): number {
    let count = 0;
    for (const { subscriptions } of this.sessions.values()) {
      for (const { qos } of subscriptions.values()) if (qos > 0) count += 1;
    }
    return count;
  }

  /** Clients that have just this filter. */
  *withFilter(filter: string): Generator<string> {
    for (const [clientId, { subscriptions }] of this.sessions) if (subscriptions.has(filter)) yield clientId;
  }

  /** The client is back. */
  resume(clientId: string): [filter: string, options: SubscriptionOptions][] {
    const session = this.sessions.get(clientId);
    if (!session) return [];
    this.sessions.delete(clientId);
    this.sessions.set(clientId, session);
    if (session.usedHour !== this.hours) this.touch(clientId, session);
    return [...session.subscriptions];
  }

  end(clientId: string): void {
    const session = this.sessions.get(clientId);
    if (!session) return;
    const { subscriptions, outbox } = session;
    for (const filter of subscriptions.keys()) this.tree.remove(filter, clientId);
    for (const message of outbox.all()) this.bytes -= sizeOf(message);
    this.sessions.delete(clientId);
    this.parts.changes.endSession(clientId, subscriptions.keys(), outbox.sequence());
  }

  /** The broker has run for another hour: sessions that nobody came back to expire. */
  passHour(): void {
    if (this.sessions.size === 0) return;
    this.hours += 1;
    this.parts.changes.passHour(this.hours);
    for (const [clientId, session] of this.sessions) {
      const idleHours = this.hours - session.usedHour;
      if (this.parts.isConnected(clientId)) {
        if (idleHours >= TOUCH_HOURS) this.touch(clientId, session);
      } else if (idleHours > this.parts.limits.sessionIdleHours) this.end(clientId);
    }
  }

  /** The subscriptions of sessions that want messages of `topic`; a client may have several. */
  subscribers(topic: string): Subscriber[] {
    return this.tree.match(topic);
  }

  /** Undefined where the session's queue has no room for it. Nobody sees it before `published`. */
  enqueue(
    clientId: string,
    { topic, payload, qos }: Pick<QueuedMessage, 'topic' | 'payload' | 'qos'>,
  ): QueuedMessage | undefined {
    const session = this.sessions.get(clientId);
    if (!session || !this.fits(session, sizeOf({ topic, payload }))) return undefined;
    this.lastSeq += 1;
    const message: QueuedMessage = {
      seq: this.lastSeq,
      clientId,
      topic,
      payload,
      qos,
      packetId: undefined,
      isReceived: false,
      isPublished: false,
      wasSent: false,
      isStored: false,
      counter: undefined,
    };
    this.queue(session, message);
    this.parts.changes.queue.put(message.seq, message);
    return message;
  }

  /** Its publish goes out under this running number. False where the message is gone. */
  published(message: QueuedMessage, counter: number): boolean {
    const outbox = this.outboxOf(message);
    outbox?.publish(message, counter);
    return outbox !== undefined;
  }

  /** Its publish does not come about. */
  drop(message: QueuedMessage): void {
    const outbox = this.outboxOf(message);
    if (outbox) this.remove(outbox, message);
  }

  /** The message of the publish with this running number, on its way to the client. */
  outgoing(clientId: string, counter: number): QueuedMessage | undefined {
    return this.sessions.get(clientId)?.outbox.find(counter);
  }

  /** The message goes out under the packet id that is given back, `wanted` if that is free. */
  send(message: QueuedMessage, wanted: number): number {
    const outbox = this.outboxOf(message);
    if (!outbox) return wanted;
    const before = message.packetId;
    const packetId = outbox.assign(message, wanted);
    message.wasSent = true;
    if (packetId !== before) this.parts.changes.queue.put(message.seq, message);
    return packetId;
  }

  /** PUBREC came for this packet id. Whether that is news. */
  received(clientId: string, packetId: number): boolean {
    const message = this.sessions.get(clientId)?.outbox.sent(packetId);
    if (!message || message.isReceived) return false;
    message.isReceived = true;
    this.parts.changes.queue.put(message.seq, message);
    return true;
  }

  /** PUBACK or PUBCOMP came for this packet id. */
  acknowledged(clientId: string, packetId: number): QueuedMessage | undefined {
    const outbox = this.sessions.get(clientId)?.outbox;
    const message = outbox?.sent(packetId);
    if (!outbox || !message) return undefined;
    this.remove(outbox, message);
    return message;
  }

  /**
   * What waits for the client, oldest first. All that will go out with QoS 2 gets its packet id now, so that one
   * commit keeps them and not one for each: under another id after a crash it would be another message.
   */
  waiting(clientId: string): QueuedMessage[] {
    const outbox = this.sessions.get(clientId)?.outbox;
    if (!outbox) return [];
    const messages = [...outbox.all()].filter(({ isPublished }) => isPublished);
    for (const message of messages) {
      if (message.qos !== 2 || message.packetId !== undefined) continue;
      outbox.assign(message, outbox.freePacketId());
      this.parts.changes.queue.put(message.seq, message);
    }
    return messages;
  }

  private add(clientId: string, account: string | undefined, usedHour: number): Session {
    const session = { account, usedHour, subscriptions: new Map(), outbox: new Outbox() };
    this.sessions.set(clientId, session);
    return session;
  }

  private create(clientId: string): Session | undefined {
    if (this.sessions.size >= this.parts.limits.sessions && !this.evict()) return undefined;
    const session = this.add(clientId, this.parts.accountOf(clientId), this.hours);
    this.touch(clientId, session);
    return session;
  }

  private touch(clientId: string, session: Session): void {
    session.usedHour = this.hours;
    const row: StoredSession = { clientId, account: session.account, usedHour: this.hours };
    this.parts.changes.sessions.put(clientId, row);
  }

  private remember(clientId: string, session: Session, filter: string, options: SubscriptionOptions): void {
    session.subscriptions.set(filter, options);
    // Messages wait only for subscriptions with QoS 1 and 2.
    if (options.qos > 0) this.tree.add(filter, clientId, options);
    else this.tree.remove(filter, clientId);
  }

  private hasRoom({ subscriptions }: Session, filter: string): boolean {
    return subscriptions.has(filter) || subscriptions.size < this.parts.limits.subscriptionsPerClient;
  }

  private fits({ outbox }: Session, size: number): boolean {
    const { queuedMessages, queuedBytes } = this.parts.limits;
    return outbox.size < queuedMessages && this.bytes + size <= queuedBytes;
  }

  private queue({ outbox }: Session, message: QueuedMessage): void {
    outbox.add(message);
    this.bytes += sizeOf(message);
  }

  private remove(outbox: Outbox, message: QueuedMessage): void {
    if (!outbox.remove(message)) return;
    this.bytes -= sizeOf(message);
    if (message.isStored) this.parts.changes.queue.remove(message.seq);
    else this.parts.changes.queue.forget(message.seq);
  }

  /** Undefined where the message is gone, or its session. */
  private outboxOf(message: QueuedMessage): Outbox | undefined {
    const outbox = this.sessions.get(message.clientId)?.outbox;
    return outbox?.has(message) ? outbox : undefined;
  }

  /** The longest unused of the account that has most of them: one that makes a new one each time is its own loss. */
  private evict(): boolean {
    const idle = new Map<string | undefined, { readonly longestUnused: string; count: number }>();
    for (const [clientId, { account }] of this.sessions) {
      if (this.parts.isConnected(clientId)) continue;
      const known = idle.get(account);
      if (known) known.count += 1;
      else idle.set(account, { longestUnused: clientId, count: 1 });
    }
    const [first, ...others] = idle.values();
    if (!first) return false;
    this.end(others.reduce((most, other) => (other.count > most.count ? other : most), first).longestUnused);
    return true;
  }
}

function restored(stored: StoredMessage): QueuedMessage {
  const { buffer, byteOffset, length } = stored.payload;
  const wasSent = stored.packetId !== undefined;
  const payload = Buffer.from(buffer, byteOffset, length);
  return { ...stored, payload, isPublished: true, wasSent, isStored: true, counter: undefined };
}

function isSame(before: SubscriptionOptions | undefined, after: SubscriptionOptions): boolean {
  return (
    before?.qos === after.qos &&
    before.rh === after.rh &&
    before.rap === after.rap &&
    before.nl === after.nl &&
    before.subscriptionIdentifier === after.subscriptionIdentifier
  );
}

/** What it takes in memory. */
function sizeOf({ topic, payload }: { readonly topic: string; readonly payload: Uint8Array }): number {
  return OVERHEAD_BYTES + topic.length + payload.length;
}
