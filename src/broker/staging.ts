/**
 * What a publish leaves behind in the broker, put in its place before the publish is acknowledged: its retained
 * message, and its copies in the queues of sessions.
 *
 * aedes acknowledges QoS 1 first and stores afterwards. So the hook that comes before the acknowledgement stages, and
 * waits for the commit; when aedes comes by to store, it finds that done. A staged copy is seen by nobody until then:
 * a client that connects in between would get it twice.
 */
import type { Publish, QoS } from './inlet.ts';
import type { QueuedMessage } from './outbox.ts';
import type { RetainedMessages } from './retained.ts';
import type { Sessions } from './sessions.ts';
import type { Subscriber } from './filters.ts';
import type { WriteBehind } from './write-behind.ts';

export interface StagingParts {
  readonly retained: RetainedMessages;
  readonly sessions: Sessions;
  readonly changes: WriteBehind;
  readonly onRetainedDropped: (topic: string) => void;
  readonly onQueuedDropped: (clientId: string) => void;
}

export interface Staged {
  readonly publish: Publish;
  /** By client; `undefined` where there was no room. */
  readonly messages: ReadonlyMap<string, QueuedMessage | undefined>;
  /** `undefined`: its acknowledgement owes nothing to the disk. */
  readonly mark: number | undefined;
  /** It went out to subscribers. */
  onPublished: (() => void) | undefined;
}

/** A subscriber as aedes passes it around. */
export interface Target {
  readonly clientId: string;
  readonly qos?: QoS;
}

interface Copy {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
}

export class Staging {
  /** By the very payload: all that aedes passes on of a packet unchanged. */
  private readonly staged = new WeakMap<object, Staged>();
  /** Exchanges of publishers that are stored along with what they put into queues. */
  private readonly exchanges = new Set<string>();
  /** Those of them that an earlier run left: their copies are in the queues. */
  private readonly inherited = new Set<string>();

  constructor(private readonly parts: StagingParts) {}

  restore(exchanges: readonly { readonly clientId: string; readonly packetId: number }[]): void {
    for (const { clientId, packetId } of exchanges) {
      this.exchanges.add(exchangeId(clientId, packetId));
      this.inherited.add(exchangeId(clientId, packetId));
    }
  }

  /** `undefined` where the publish leaves nothing behind. The packet gets a payload of its own. */
  stage(packet: { payload: Buffer | string }, publish: Publish): Staged | undefined {
    const { topic, qos, retain } = publish;
    const subscribers = qos > 0 ? this.parts.sessions.subscribers(topic) : [];
    if (!retain && subscribers.length === 0) return undefined;
    // A copy: the payload is a view that would keep the whole network buffer alive.
    const payload = Buffer.from(publish.payload);
    packet.payload = payload;
    const { changes } = this.parts;
    if (retain) this.retain({ topic, payload, qos });
    const messages = this.enqueueAll(clientsOf(subscribers), { topic, payload, qos });
    const isKept = [...messages.values()].some((message) => message !== undefined);
    if (isKept) this.keepExchange(publish);
    const isOwed = qos > 0 && (isKept || (retain && changes.retained.has(topic)));
    const mark = isOwed ? changes.mark : undefined;
    const staged: Staged = { publish, messages, mark, onPublished: undefined };
    this.staged.set(payload, staged);
    return staged;
  }

  /** The publish was not taken, or comes to nothing: its copies go. What is retained stays. */
  undo(staged: Staged | undefined): void {
    if (!staged) return;
    for (const message of staged.messages.values()) {
      if (message && !message.isPublished) this.parts.sessions.drop(message);
    }
    const { qos, clientId, packetId } = staged.publish;
    if (qos === 2 && clientId !== undefined && packetId !== undefined) this.exchangeOver(clientId, packetId);
  }

  /** aedes stores what is to be retained. */
  storeRetained({ topic, payload, qos }: Copy): void {
    if (this.staged.has(payload)) return;
    this.retain({ topic, payload: Buffer.from(payload), qos });
  }

  /** aedes puts the publish into the queues of sessions: from here on it goes out. */
  enqueue(subscribers: readonly Target[], copy: Copy, counter: number): void {
    const { sessions } = this.parts;
    const staged = this.staged.get(copy.payload);
    const fresh = new Map<string, QoS>();
    for (const [clientId, qos] of highestQoS(subscribers)) {
      const message = staged?.messages.get(clientId);
      const isRefused = staged?.messages.has(clientId) === true && !message;
      if (!isRefused && !(message && sessions.published(message, counter))) fresh.set(clientId, qos);
    }
    // Who unsubscribed in the meantime.
    for (const message of staged?.messages.values() ?? []) {
      if (message && !message.isPublished) sessions.drop(message);
    }
    staged?.onPublished?.();
    if (fresh.size === 0) return;
    const payload = staged ? copy.payload : Buffer.from(copy.payload);
    for (const message of this.enqueueAll(fresh, { ...copy, payload }).values()) {
      if (message) sessions.published(message, counter);
    }
    this.parts.changes.promptly();
  }

  /** PUBREL came, or what was known of the exchange is void otherwise. Whether that is to be written. */
  exchangeOver(clientId: string, packetId: number): boolean {
    this.inherited.delete(exchangeId(clientId, packetId));
    if (!this.exchanges.delete(exchangeId(clientId, packetId))) return false;
    this.parts.changes.exchanges.remove({ clientId, packetId });
    return true;
  }

  isStored(clientId: string, packetId: number): boolean {
    return this.exchanges.has(exchangeId(clientId, packetId));
  }

  /** Whether an earlier run has put the copies of this exchange into their queues. */
  isInherited({ clientId, packetId }: Publish): boolean {
    if (clientId === undefined || packetId === undefined) return false;
    return this.inherited.has(exchangeId(clientId, packetId));
  }

  private keepExchange({ qos, clientId, packetId }: Publish): void {
    if (qos !== 2 || clientId === undefined || packetId === undefined) return;
    this.exchanges.add(exchangeId(clientId, packetId));
    this.parts.changes.exchanges.put({ clientId, packetId }, { clientId, packetId });
  }

  private retain({ topic, payload, qos }: Copy): void {
    if (!this.parts.retained.store(topic, payload, qos)) this.parts.onRetainedDropped(topic);
  }

  private enqueueAll(
    clients: ReadonlyMap<string, QoS>,
    { topic, payload, qos }: Copy,
  ): Map<string, QueuedMessage | undefined> {
    const messages = new Map<string, QueuedMessage | undefined>();
    for (const [clientId, granted] of clients) {
      const copy = { topic, payload, qos: granted === 1 ? granted : qos };
      const message = this.parts.sessions.enqueue(clientId, copy);
      if (!message) this.parts.onQueuedDropped(clientId);
      messages.set(clientId, message);
    }
    return messages;
  }
}

function clientsOf(subscribers: readonly Subscriber[]): Map<string, QoS> {
  return highestQoS(subscribers.map(({ clientId, options }) => ({ clientId, qos: options.qos })));
}

/** One copy for a client with several matching subscriptions, with the highest QoS of them [MQTT-3.3.5-1]. */
function highestQoS(subscribers: readonly Target[]): Map<string, QoS> {
  const found = new Map<string, QoS>();
  for (const { clientId, qos = 2 } of subscribers) {
    found.set(clientId, Math.max(found.get(clientId) ?? 0, qos) as QoS);
  }
  return found;
}

function exchangeId(clientId: string, packetId: number): string {
  return `${clientId}\0${packetId}`;
}
