/**
 * The messages of one session: those that wait for its client, and those that wait for its acknowledgement.
 *
 * States of a message: staged (stored, its publish not yet acknowledged; nobody sees it) → queued → sent (under a
 * packet id) → with QoS 2: received (PUBREC came, only the PUBREL is owed) → gone.
 */
import type { StoredMessage } from './store.ts';

export interface QueuedMessage extends StoredMessage {
  readonly payload: Buffer;
  packetId: number | undefined;
  isReceived: boolean;
  /** Its publish went out to subscribers. */
  isPublished: boolean;
  /** It went to the client under its packet id, as far as is known. */
  wasSent: boolean;
  /** It is on disk, in this state or an earlier one. */
  isStored: boolean;
  /** The running number of its publish in this run of the broker; none for a message of an earlier one. */
  counter: number | undefined;
}

const MOST_PACKET_IDS = 65_535;

export class Outbox {
  /** By `seq`, in the order of arrival. */
  private readonly messages = new Map<number, QueuedMessage>();
  private readonly byPacketId = new Map<number, QueuedMessage>();
  private readonly byCounter = new Map<number, QueuedMessage>();
  private lastPacketId = 0;

  get size(): number {
    return this.messages.size;
  }

  /** Oldest first. */
  all(): Iterable<QueuedMessage> {
    return this.messages.values();
  }

  sequence(): Iterable<number> {
    return this.messages.keys();
  }

  add(message: QueuedMessage): void {
    this.messages.set(message.seq, message);
    if (message.packetId !== undefined) this.byPacketId.set(message.packetId, message);
  }

  has({ seq }: QueuedMessage): boolean {
    return this.messages.has(seq);
  }

  publish(message: QueuedMessage, counter: number): void {
    message.isPublished = true;
    message.counter = counter;
    this.byCounter.set(counter, message);
  }

  /** By the number its publish has in this run; those of earlier runs go by their negative `seq`. */
  find(counter: number): QueuedMessage | undefined {
    return counter < 0 ? this.messages.get(-counter) : this.byCounter.get(counter);
  }

  sent(packetId: number): QueuedMessage | undefined {
    return this.byPacketId.get(packetId);
  }

  /** Gives the message this packet id, or another one where a message that is still out has it. */
  assign(message: QueuedMessage, wanted: number): number {
    if (message.packetId !== undefined && this.byPacketId.get(message.packetId) === message) {
      if (message.packetId === wanted) return wanted;
      this.byPacketId.delete(message.packetId);
    }
    const packetId = this.byPacketId.has(wanted) ? this.freePacketId() : wanted;
    message.packetId = packetId;
    this.byPacketId.set(packetId, message);
    return packetId;
  }

  /** The queue is bounded far below the number of packet ids: one is always free. */
  freePacketId(): number {
    do {
      this.lastPacketId = (this.lastPacketId % MOST_PACKET_IDS) + 1;
    } while (this.byPacketId.has(this.lastPacketId));
    return this.lastPacketId;
  }

  /** False where it is gone already. */
  remove(message: QueuedMessage): boolean {
    if (!this.messages.delete(message.seq)) return false;
    const { packetId, counter } = message;
    if (packetId !== undefined && this.byPacketId.get(packetId) === message) this.byPacketId.delete(packetId);
    if (counter !== undefined && this.byCounter.get(counter) === message) this.byCounter.delete(counter);
    return true;
  }

  /** Another run of the broker begins: its publishes are numbered anew. */
  restart(): void {
    this.byCounter.clear();
    for (const message of this.messages.values()) message.counter = undefined;
  }
}
