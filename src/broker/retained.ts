/**
 * Retained messages, in memory: the last one of each topic, for whoever subscribes later.
 */
import { filterTest } from '../core/topic.ts';
import type { QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';

export interface RetainedMessage {
  readonly cmd: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: true;
}

export class RetainedMessages {
  private readonly messages = new Map<string, RetainedMessage>();
  private bytes = 0;

  constructor(private readonly limits: Pick<BrokerLimits, 'retainedMessages' | 'retainedBytes'>) {}

  /** False where there is no room for it: subscribers get the message now, later ones will not. */
  store(topic: string, payload: Uint8Array, qos: QoS): boolean {
    const before = this.messages.get(topic);
    // [MQTT-3.3.1-10], [MQTT-3.3.1-11]
    if (payload.length === 0) {
      if (before) this.remove(before);
      return true;
    }
    const bytes = this.bytes + sizeOf(topic, payload) - (before ? sizeOf(topic, before.payload) : 0);
    const isTooMany = !before && this.messages.size >= this.limits.retainedMessages;
    if (isTooMany || bytes > this.limits.retainedBytes) {
      // The older value would be a lie to a later subscriber.
      if (before) this.remove(before);
      return false;
    }
    // A copy: the payload is a view that would keep the whole network buffer alive.
    this.messages.set(topic, { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain: true });
    this.bytes = bytes;
    return true;
  }

  *match(filter: string): Generator<RetainedMessage> {
    if (!/[+#]/.test(filter)) {
      const exact = this.messages.get(filter);
      if (exact) yield exact;
      return;
    }
    const isMatch = filterTest(filter);
    for (const message of this.messages.values()) {
      if (isMatch(message.topic)) yield message;
    }
  }

  private remove({ topic, payload }: RetainedMessage): void {
    this.messages.delete(topic);
    this.bytes -= sizeOf(topic, payload);
  }
}

function sizeOf(topic: string, payload: Uint8Array): number {
  return topic.length + payload.length;
}
