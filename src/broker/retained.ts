/**
 * Retained messages: the last one of each topic, for whoever subscribes later. In memory and bounded; what changes
 * is told to the write-behind. The same value again changes nothing.
 */
import { filterTest } from '../core/topic.ts';
import type { QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { StoredRetained } from './store.ts';
import { Turnstile } from './turnstile.ts';
import type { WriteBehind } from './write-behind.ts';

/** Messages for subscribers in one turn of the event loop: a few tenths of a millisecond of work. */
const PASSES_PER_TURN = 16;
/** So many topics are looked at for what sending one message costs. */
const LOOKS_PER_PASS = 100;

export interface RetainedMessage extends StoredRetained {
  readonly cmd: 'publish';
  readonly payload: Buffer;
  readonly retain: true;
}

export class RetainedMessages {
  private readonly messages = new Map<string, RetainedMessage>();
  private bytes = 0;
  private readonly turnstile = new Turnstile(PASSES_PER_TURN);

  constructor(
    private readonly limits: Pick<BrokerLimits, 'retainedMessages' | 'retainedBytes'>,
    private readonly changes: WriteBehind,
  ) {}

  /** Takes up what was stored; what finds no room is removed there too. */
  restore(stored: readonly StoredRetained[]): void {
    for (const { topic, payload, qos } of stored) {
      const { buffer, byteOffset, length } = payload;
      if (!this.fits(topic, payload)) this.changes.retained.remove(topic);
      else this.set(topic, Buffer.from(buffer, byteOffset, length), qos);
    }
  }

  /**
   * `payload` is kept as it is: it must not be a view of a larger buffer. False where there is no room for it:
   * subscribers get the message now, later ones will not.
   */
  store(topic: string, payload: Buffer, qos: QoS): boolean {
    const before = this.messages.get(topic);
    // [MQTT-3.3.1-10], [MQTT-3.3.1-11]
    if (payload.length === 0) {
      if (before) this.remove(before);
      return true;
    }
    if (before?.qos === qos && before.payload.equals(payload)) return true;
    if (!this.fits(topic, payload)) {
      // The older value would be a lie to a later subscriber.
      if (before) this.remove(before);
      return false;
    }
    this.changes.retained.put(topic, this.set(topic, payload, qos));
    return true;
  }

  /** In turns with all that is looked for at the same time. What changes meanwhile is given as it is by then. */
  async *match(filter: string): AsyncGenerator<RetainedMessage> {
    if (!/[+#]/.test(filter)) {
      const exact = this.messages.get(filter);
      if (exact) yield exact;
      return;
    }
    const isMatch = filterTest(filter);
    let looked = 0;
    for (const message of this.messages.values()) {
      looked += 1;
      const fits = isMatch(message.topic);
      if (fits || looked % LOOKS_PER_PASS === 0) await this.turnstile.pass();
      if (fits) yield message;
    }
  }

  private fits(topic: string, payload: Uint8Array): boolean {
    const before = this.messages.get(topic);
    const bytes = this.bytes + sizeOf(topic, payload) - (before ? sizeOf(topic, before.payload) : 0);
    const isTooMany = !before && this.messages.size >= this.limits.retainedMessages;
    return !isTooMany && bytes <= this.limits.retainedBytes;
  }

  private set(topic: string, payload: Buffer, qos: QoS): RetainedMessage {
    const before = this.messages.get(topic);
    const message: RetainedMessage = { cmd: 'publish', topic, payload, qos, retain: true };
    this.messages.set(topic, message);
    this.bytes += sizeOf(topic, payload) - (before ? sizeOf(topic, before.payload) : 0);
    return message;
  }

  private remove({ topic, payload }: RetainedMessage): void {
    this.messages.delete(topic);
    this.bytes -= sizeOf(topic, payload);
    this.changes.retained.remove(topic);
  }
}

function sizeOf(topic: string, payload: Uint8Array): number {
  return topic.length + payload.length;
}
